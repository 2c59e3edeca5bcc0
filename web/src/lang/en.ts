/** Every text of the page in English. Texts of errors come from the service. */
import { plural } from "./format";

export const en = {
  name: "video2mp3",
  unreachable:
    "The service cannot be reached. Check your connection, then try again.",
  unknownProblem: "Something went wrong. Try again in a moment.",

  nav: {
    skip: "Skip to the content",
    main: "Main",
    convert: "Convert",
    library: "Library",
    account: "Account",
    logIn: "Log in",
  },

  titles: {
    home: "Turn a video into an MP3",
    library: "Library",
    account: "Account",
    link: "Your MP3",
    lost: "Not found",
  },

  home: {
    headline: "Turn a video into an MP3",
    promise:
      "Drop a video anywhere on this page. Only its sound is sent, so even a long one takes little time.",
    choose: "Choose videos",
    chooseFolder: "or a whole folder",
    facts: [
      "Videos up to 20 GB",
      "Interrupted uploads continue",
      "No trackers, no cookies",
    ],
    more: "Add videos",
    moreHint: "or drop them anywhere",
    drop: "Drop to add",
    noMedia: "There are no videos in this folder.",
    queue: "Your files",
  },

  compose: {
    title: (count: number) =>
      plural(count, {
        one: "Ready to convert",
        other: "# files, ready to convert",
      }),
    start: (count: number) =>
      plural(count, { one: "Convert to MP3", other: "Convert # files" }),
    remove: (name: string) => `Remove ${name}`,
    tracks: (count: number) =>
      plural(count, { one: "# soundtrack", other: "# soundtracks" }),
  },

  options: {
    title: "Options",
    standard: "Best quality for this file",
    quality: "Quality",
    qualityHint:
      "Automatic keeps MP3 sound as it is and encodes other sound at about 190 kbit/s.",
    qualities: {
      auto: "Automatic",
      copy: "Copy, if it is MP3 already",
      v0: "Best (about 245 kbit/s)",
      v2: "Very good (about 190 kbit/s)",
      v4: "Good, small (about 165 kbit/s)",
      "128": "128 kbit/s",
      "192": "192 kbit/s",
      "256": "256 kbit/s",
      "320": "320 kbit/s",
    },
    track: "Soundtrack",
    trackHint: "Which of the video's soundtracks becomes the MP3.",
    mainTrack: "The main one",
    mixTracks: "All of them, mixed",
    trackName: (number: number) => `Track ${number}`,
    mono: "mono",
    stereo: "stereo",
    surround: (channels: number) => `${channels} channels`,
    trim: "Trim",
    trimHint: "Keep only a part. It is exact to the sample.",
    from: "Start",
    to: "End",
    listen: "Listen to the part",
    stop: "Stop",
    loudness: "Loudness",
    loudnessHint: "Evens out quiet and loud recordings.",
    loudnesses: {
      "": "As in the video",
      "-16": "Podcast (-16 LUFS)",
      "-14": "Music service (-14 LUFS)",
      "-23": "Broadcast (-23 LUFS)",
    },
    channels: "Channels",
    channelsHint: "Mono suits speech and makes the file smaller.",
    channelNames: { auto: "As in the video", mono: "Mono", stereo: "Stereo" },
    tags: "Tags",
    tagsHint: "Leave them empty to keep the video's own.",
    tagTitle: "Title",
    tagArtist: "Artist",
    tagAlbum: "Album",
    cover: "Keep the cover picture",
    coverHint: "If the video has one.",
    chapters: "Keep the chapters",
    chaptersHint: "So that players can jump to them.",
    damaged: "Convert damaged videos, too",
    damagedHint:
      "Missing sound becomes silence. Otherwise, you are told that the video is damaged.",
    onlySound: "Send only the sound",
    onlySoundHint:
      "The sound is taken out of the video on your device, unchanged. Turn it off to send the whole file.",
    startAtOnce: "Start without asking",
    startAtOnceHint:
      "Files are converted with these options as soon as you drop them.",
  },

  login: {
    createTitle: "Almost there",
    createReason:
      "Create an account, so that your MP3s are yours alone and wait for you.",
    logInTitle: "Welcome back",
    logInReason: "Log in to continue.",
    endedTitle: "Please log in again",
    endedReason:
      "Your session has ended. Nothing is lost: uploads continue as soon as you are logged in.",
    email: "E-mail",
    password: "Password",
    passwordHint: "At least 10 characters. A short sentence is good.",
    show: "Show password",
    foreign: "This is not my device",
    foreignHint: "You are logged out when you close this tab.",
    create: "Create account",
    logIn: "Log in",
    haveAccount: "I have an account",
    noAccount: "Create an account",
    close: "Close",
  },

  item: {
    waiting: "Waits for its turn",
    preparing: "Preparing",
    sending: (share: string) => `Sending ${share}`,
    sendingSound: (bytes: string) => `Sending the sound · ${bytes}`,
    of: (done: string, total: string) => `${done} of ${total}`,
    left: (time: string) => `${time} left`,
    offline: "No connection. It continues by itself.",
    paused: "Paused",
    needsFile: "Interrupted. Choose the same file again to continue.",
    queued: "Waits for a converter",
    converting: (share: string) => `Converting ${share}`,
    failed: "This did not work",
    cancelled: "Cancelled",
    saved: (sent: string, whole: string) => `Sent ${sent} instead of ${whole}`,
    pause: (name: string) => `Pause ${name}`,
    resume: (name: string) => `Continue ${name}`,
    cancel: (name: string) => `Cancel ${name}`,
    retry: (name: string) => `Try ${name} again`,
    remove: (name: string) => `Remove ${name} from this list`,
    chooseAgain: "Choose the file",
    progress: (name: string) => `Progress of ${name}`,
    save: "Save MP3",
    saveNamed: (name: string) => `Save MP3 of ${name}`,
    notes: (count: number) =>
      plural(count, { one: "One thing to know", other: "# things to know" }),
  },

  player: {
    label: (name: string) => `Player of ${name}`,
    play: (name: string) => `Play ${name}`,
    pause: (name: string) => `Pause ${name}`,
    position: "Position",
    chapters: "Chapters",
    broken: "This MP3 cannot be played. Save it, or try again.",
  },

  library: {
    title: "Library",
    search: "Search",
    state: "Show",
    states: {
      all: "All",
      completed: "Ready",
      running: "Under way",
      failed: "Failed",
    },
    empty: "Your MP3s will be here.",
    emptyHint:
      "Convert a video, and you can play it, save it and share it from this page.",
    emptyAction: "Convert a video",
    nothingFound: "Nothing matches.",
    loggedOut: "Log in to see your MP3s.",
    more: "Show more",
    loading: "Loading …",
    select: (name: string) => `Select ${name}`,
    selectAll: "Select all",
    selected: (count: number) =>
      plural(count, { one: "# selected", other: "# selected" }),
    zip: "Save as ZIP",
    copyLink: (name: string) => `Copy a link to ${name}`,
    copied: (days: string) =>
      `Link copied. It works for ${days}, without a login.`,
    copyFailed:
      "The link could not be copied. Allow this page to use the clipboard.",
    linkDays: "3 days",
    remove: (name: string) => `Delete ${name}`,
    removeSelected: "Delete",
    removed: (count: number, name: string) =>
      count === 1 ? `${name} is deleted.` : `${count} MP3s are deleted.`,
    undo: "Undo",
    expires: (when: string) => `deleted ${when}`,
  },

  account: {
    title: "Account",
    loggedInAs: "Logged in as",
    since: (date: string) => `Since ${date}`,
    storage: "Storage",
    used: (used: string, quota: string) => `${used} of ${quota} used`,
    usedOnly: (used: string) => `${used} used`,
    uploads: (count: number, size: string) =>
      plural(count, {
        one: `Of this, ${size} belong to # unfinished upload.`,
        other: `Of this, ${size} belong to # unfinished uploads.`,
      }),
    retention: (days: number) =>
      plural(days, {
        one: "MP3s are kept for # day.",
        other: "MP3s are kept for # days.",
      }),
    largest: (size: string) => `A video may have up to ${size}.`,
    logOut: "Log out",
    loggedOut: "You are not logged in.",
  },

  link: {
    loading: "Looking for your MP3 …",
    expiredTitle: "This link no longer works",
    expired:
      "Links expire, and MP3s are deleted after some days. Ask for a new link, or log in to see what is still there.",
    toLibrary: "Go to the library",
    own: "Turn a video of your own into an MP3",
  },

  lost: { title: "There is nothing here", back: "Go to the start" },

  said: {
    completed: (name: string) => `${name} is ready.`,
    failed: (name: string) => `${name} failed.`,
    added: (count: number) =>
      plural(count, { one: "# file added.", other: "# files added." }),
  },
};

export type Texts = typeof en;
