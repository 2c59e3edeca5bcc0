/** Jeder Text der Seite auf Deutsch. Die Texte von Fehlern kommen vom Dienst. */
import type { Texts } from "./en";
import { plural } from "./format";

export const de: Texts = {
  name: "video2mp3",
  unreachable:
    "Der Dienst ist nicht erreichbar. Prüfen Sie die Verbindung und versuchen Sie es noch einmal.",
  unknownProblem:
    "Etwas ist schiefgegangen. Versuchen Sie es gleich noch einmal.",

  nav: {
    skip: "Zum Inhalt springen",
    main: "Hauptmenü",
    convert: "Umwandeln",
    library: "Bibliothek",
    account: "Konto",
    logIn: "Anmelden",
  },

  titles: {
    home: "Aus einem Video ein MP3 machen",
    library: "Bibliothek",
    account: "Konto",
    link: "Ihr MP3",
    lost: "Nicht gefunden",
  },

  home: {
    headline: "Aus einem Video ein MP3 machen",
    promise:
      "Ziehen Sie ein Video irgendwo auf diese Seite. Nur der Ton wird gesendet, deshalb geht es auch bei langen Videos schnell.",
    choose: "Videos auswählen",
    chooseFolder: "oder einen ganzen Ordner",
    facts: [
      "Videos bis 20 GB",
      "Unterbrochene Uploads gehen weiter",
      "Keine Tracker, keine Cookies",
    ],
    more: "Videos hinzufügen",
    moreHint: "oder irgendwo auf die Seite ziehen",
    drop: "Zum Hinzufügen loslassen",
    noMedia: "In diesem Ordner sind keine Videos.",
    queue: "Ihre Dateien",
  },

  compose: {
    title: (count) =>
      plural(count, {
        one: "Bereit zum Umwandeln",
        other: "# Dateien, bereit zum Umwandeln",
      }),
    start: (count) =>
      plural(count, { one: "In MP3 umwandeln", other: "# Dateien umwandeln" }),
    remove: (name) => `${name} entfernen`,
    tracks: (count) =>
      plural(count, { one: "# Tonspur", other: "# Tonspuren" }),
  },

  options: {
    title: "Optionen",
    standard: "Beste Qualität für diese Datei",
    quality: "Qualität",
    qualityHint:
      "Automatisch lässt MP3-Ton, wie er ist, und kodiert anderen Ton mit etwa 190 kbit/s.",
    qualities: {
      auto: "Automatisch",
      copy: "Kopieren, falls schon MP3",
      v0: "Beste (etwa 245 kbit/s)",
      v2: "Sehr gut (etwa 190 kbit/s)",
      v4: "Gut und klein (etwa 165 kbit/s)",
      "128": "128 kbit/s",
      "192": "192 kbit/s",
      "256": "256 kbit/s",
      "320": "320 kbit/s",
    },
    track: "Tonspur",
    trackHint: "Welche Tonspur des Videos zum MP3 wird.",
    mainTrack: "Die wichtigste",
    mixTracks: "Alle, zusammengemischt",
    trackName: (number) => `Spur ${number}`,
    mono: "mono",
    stereo: "stereo",
    surround: (channels) => `${channels} Kanäle`,
    trim: "Zuschneiden",
    trimHint: "Nur ein Teil wird umgewandelt, auf das Sample genau.",
    from: "Anfang",
    to: "Ende",
    listen: "Ausschnitt anhören",
    stop: "Anhalten",
    loudness: "Lautheit",
    loudnessHint: "Gleicht leise und laute Aufnahmen an.",
    loudnesses: {
      "": "Wie im Video",
      "-16": "Podcast (-16 LUFS)",
      "-14": "Musikdienst (-14 LUFS)",
      "-23": "Rundfunk (-23 LUFS)",
    },
    channels: "Kanäle",
    channelsHint: "Mono passt zu Sprache und macht die Datei kleiner.",
    channelNames: { auto: "Wie im Video", mono: "Mono", stereo: "Stereo" },
    tags: "Tags",
    tagsHint: "Bleiben sie leer, gelten die des Videos.",
    tagTitle: "Titel",
    tagArtist: "Interpret",
    tagAlbum: "Album",
    cover: "Titelbild behalten",
    coverHint: "Falls das Video eines hat.",
    chapters: "Kapitel behalten",
    chaptersHint: "Damit Player zu ihnen springen können.",
    damaged: "Auch beschädigte Videos umwandeln",
    damagedHint:
      "Fehlender Ton wird zu Stille. Sonst erfahren Sie, dass das Video beschädigt ist.",
    onlySound: "Nur den Ton senden",
    onlySoundHint:
      "Der Ton wird auf Ihrem Gerät unverändert aus dem Video genommen. Ausgeschaltet wird die ganze Datei gesendet.",
    startAtOnce: "Ohne Nachfrage beginnen",
    startAtOnceHint:
      "Dateien werden mit diesen Optionen umgewandelt, sobald Sie sie loslassen.",
  },

  login: {
    createTitle: "Gleich geht es los",
    createReason:
      "Legen Sie ein Konto an, damit Ihre MP3s nur Ihnen gehören und auf Sie warten.",
    logInTitle: "Willkommen zurück",
    logInReason: "Melden Sie sich an, um weiterzumachen.",
    endedTitle: "Bitte melden Sie sich noch einmal an",
    endedReason:
      "Ihre Sitzung ist abgelaufen. Nichts geht verloren: Uploads gehen nach der Anmeldung weiter.",
    email: "E-Mail",
    password: "Passwort",
    passwordHint: "Mindestens 10 Zeichen. Ein kurzer Satz eignet sich gut.",
    show: "Passwort anzeigen",
    foreign: "Das ist nicht mein Gerät",
    foreignHint: "Sie werden abgemeldet, wenn Sie diesen Tab schließen.",
    create: "Konto anlegen",
    logIn: "Anmelden",
    haveAccount: "Ich habe schon ein Konto",
    noAccount: "Ein Konto anlegen",
    close: "Schließen",
  },

  item: {
    waiting: "Wartet, bis es an der Reihe ist",
    preparing: "Wird vorbereitet",
    sending: (share) => `Wird gesendet: ${share}`,
    sendingSound: (bytes) => `Der Ton wird gesendet · ${bytes}`,
    of: (done, total) => `${done} von ${total}`,
    left: (time) => `noch ${time}`,
    offline: "Keine Verbindung. Es geht von selbst weiter.",
    paused: "Angehalten",
    needsFile:
      "Unterbrochen. Wählen Sie dieselbe Datei noch einmal aus, damit es weitergeht.",
    queued: "Wartet auf einen Umwandler",
    converting: (share) => `Wird umgewandelt: ${share}`,
    failed: "Das hat nicht geklappt",
    cancelled: "Abgebrochen",
    saved: (sent, whole) => `${sent} statt ${whole} gesendet`,
    pause: (name) => `${name} anhalten`,
    resume: (name) => `${name} fortsetzen`,
    cancel: (name) => `${name} abbrechen`,
    retry: (name) => `${name} noch einmal versuchen`,
    remove: (name) => `${name} aus dieser Liste entfernen`,
    chooseAgain: "Datei auswählen",
    progress: (name) => `Fortschritt von ${name}`,
    save: "MP3 sichern",
    saveNamed: (name) => `MP3 sichern von ${name}`,
    notes: (count) =>
      plural(count, { one: "Ein Hinweis", other: "# Hinweise" }),
  },

  player: {
    label: (name) => `Player von ${name}`,
    play: (name) => `${name} abspielen`,
    pause: (name) => `${name} anhalten`,
    position: "Position",
    chapters: "Kapitel",
    broken:
      "Dieses MP3 lässt sich nicht abspielen. Sichern Sie es, oder versuchen Sie es noch einmal.",
  },

  library: {
    title: "Bibliothek",
    search: "Suchen",
    state: "Anzeigen",
    states: {
      all: "Alle",
      completed: "Fertig",
      running: "In Arbeit",
      failed: "Fehlgeschlagen",
    },
    empty: "Hier werden Ihre MP3s liegen.",
    emptyHint:
      "Wandeln Sie ein Video um. Dann können Sie das MP3 hier abspielen, sichern und teilen.",
    emptyAction: "Ein Video umwandeln",
    nothingFound: "Nichts passt dazu.",
    loggedOut: "Melden Sie sich an, um Ihre MP3s zu sehen.",
    more: "Mehr anzeigen",
    loading: "Wird geladen …",
    select: (name) => `${name} auswählen`,
    selectAll: "Alle auswählen",
    selected: (count) =>
      plural(count, { one: "# ausgewählt", other: "# ausgewählt" }),
    zip: "Als ZIP sichern",
    copyLink: (name) => `Einen Link zu ${name} kopieren`,
    copied: (days) =>
      `Der Link ist kopiert. Er gilt ${days} lang, ohne Anmeldung.`,
    copyFailed:
      "Der Link konnte nicht kopiert werden. Erlauben Sie dieser Seite die Zwischenablage.",
    linkDays: "3 Tage",
    remove: (name) => `${name} löschen`,
    removeSelected: "Löschen",
    removed: (count, name) =>
      count === 1 ? `${name} ist gelöscht.` : `${count} MP3s sind gelöscht.`,
    undo: "Rückgängig",
    expires: (when) => `wird ${when} gelöscht`,
  },

  account: {
    title: "Konto",
    loggedInAs: "Angemeldet als",
    since: (date) => `Seit ${date}`,
    storage: "Speicher",
    used: (used, quota) => `${used} von ${quota} belegt`,
    usedOnly: (used) => `${used} belegt`,
    uploads: (count, size) =>
      plural(count, {
        one: `Davon gehören ${size} zu # unfertigen Upload.`,
        other: `Davon gehören ${size} zu # unfertigen Uploads.`,
      }),
    retention: (days) =>
      plural(days, {
        one: "MP3s werden # Tag aufbewahrt.",
        other: "MP3s werden # Tage aufbewahrt.",
      }),
    largest: (size) => `Ein Video darf bis zu ${size} groß sein.`,
    logOut: "Abmelden",
    loggedOut: "Sie sind nicht angemeldet.",
  },

  link: {
    loading: "Ihr MP3 wird gesucht …",
    expiredTitle: "Dieser Link gilt nicht mehr",
    expired:
      "Links laufen ab, und MP3s werden nach einigen Tagen gelöscht. Bitten Sie um einen neuen Link, oder melden Sie sich an und sehen Sie nach, was noch da ist.",
    toLibrary: "Zur Bibliothek",
    own: "Aus einem eigenen Video ein MP3 machen",
  },

  lost: { title: "Hier ist nichts", back: "Zum Anfang" },

  said: {
    completed: (name) => `${name} ist fertig.`,
    failed: (name) => `${name} ist fehlgeschlagen.`,
    added: (count) =>
      plural(count, {
        one: "# Datei hinzugefügt.",
        other: "# Dateien hinzugefügt.",
      }),
  },
};
