// One page of Debian's Chromium, driven by lines of JSON: the first on stdin is the options of
// `chromium.launch`, each later one a call, answered in turn by a line on stdout.
//
//   {"call": "goto", "args": ["https://odoo/"]}        a method of playwright's page
//   {"at": ".o_list_view", "call": "waitFor"}           one of the first element that a selector finds
//
// An answer is {"value": …} or {"error": …}, and has in "faults" what broke in the page meanwhile.

const readline = require("readline");
const { chromium } = require("playwright-core");

const WAIT = 180000;

async function main() {
    const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    const browser = await chromium.launch(JSON.parse((await lines.next()).value));
    const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    page.setDefaultTimeout(WAIT);
    const faults = [];
    page.on("pageerror", (error) => faults.push(String(error.stack || error)));
    for await (const line of lines) {
        const { at, call, args = [] } = JSON.parse(line);
        const answer = {};
        try {
            answer.value = await (at ? page.locator(at).first() : page)[call](...args);
        } catch (error) {
            answer.error = error.message;
        }
        // What is no plain value, such as the response of goto, is nobody's here.
        if (typeof answer.value === "object") {
            delete answer.value;
        }
        answer.faults = faults.splice(0);
        console.log(JSON.stringify(answer));
    }
    await browser.close();
}

main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
});
