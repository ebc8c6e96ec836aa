// A report is made on the server; here only the frame lives: the clock, the line's state, the big stop.

import { follow } from "./frame.js";

document.getElementById("print")?.addEventListener("click", () => print());
follow(() => {});
