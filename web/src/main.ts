import "./design/tokens.css";
import "./design/base.css";

import { mount } from "svelte";

import App from "./App.svelte";
import { speak } from "./lang";
import { acceptShares } from "./share";

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no element #app.");
await speak();
mount(App, { target });
acceptShares();
