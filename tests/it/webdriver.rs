//! Headless Chromium over `WebDriver` (W3C, section numbers as in the Recommendation).
//!
//! Rejected: fantoccini, since a test needs a dozen of the commands and no concurrency.
//! Invariant: every look for an element is a poll with a deadline; there is no fixed wait.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http;
use crate::tools::program;
use crate::world::poll;

/// Argon2 and OpenPGP in WebAssembly without optimisation on a busy machine.
pub(crate) const PAGE_DEADLINE: Duration = Duration::from_mins(2);
/// The key of an element reference (section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    session: String,
    /// Removed after the browser has ended.
    profile: TempDir,
}

/// An element of the current page; gone when the page renders that region anew.
#[derive(Debug, Clone)]
pub(crate) struct Element(String);

impl Browser {
    /// Starts the driver and a browser with an empty profile.
    pub(crate) fn start() -> Self {
        let mut driver = chromedriver()
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start chromedriver");
        let stdout = driver.stdout.take().expect("its output");
        let port = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let port = line.split_once("started successfully on port ")?.1;
                Some(port.trim_end_matches('.').to_owned())
            });
        let base = format!(
            "http://127.0.0.1:{}",
            port.expect("chromedriver tells its port")
        );
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Self {
            driver,
            session: String::new(),
            profile,
        };
        let capabilities = capabilities(browser.profile.path());
        let answer = command("POST", &format!("{base}/session"), &capabilities);
        let answer = answer.unwrap_or_else(|error| panic!("no browser: {error}"));
        let id = answer
            .get("sessionId")
            .and_then(Value::as_str)
            .expect("a session");
        browser.session = format!("{base}/session/{id}");
        browser
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        command("POST", &format!("{}{path}", self.session), body)
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        command("GET", &format!("{}{path}", self.session), &Value::Null)
    }

    /// Loads a page (10.1).
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }))
            .expect("the page loads");
    }

    /// Loads the page again (10.5).
    pub(crate) fn reload(&self) {
        self.post("/refresh", &json!({}))
            .expect("the page loads again");
    }

    /// All elements with this `data-testid` that the page has now.
    pub(crate) fn all(&self, testid: &str) -> Vec<Element> {
        let selector = format!("[data-testid=\"{testid}\"]");
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.post("/elements", &body).unwrap_or(Value::Null);
        let found = found.as_array().cloned().unwrap_or_default();
        let reference = |value: &Value| value.get(ELEMENT)?.as_str().map(str::to_owned);
        found.iter().filter_map(reference).map(Element).collect()
    }

    /// The first such element, once there is one.
    pub(crate) fn find(&self, testid: &str) -> Element {
        self.wait(&format!("the page has `{testid}`"), || {
            self.all(testid).into_iter().next()
        })
    }

    /// The first such element, once its text contains this.
    pub(crate) fn find_with(&self, testid: &str, text: &str) -> Element {
        self.wait(&format!("a `{testid}` has the text `{text}`"), || {
            let mut all = self.all(testid).into_iter();
            all.find(|element| self.text(element).contains(text))
        })
    }

    /// Polls; shows the page's text if nothing comes of it.
    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = crate::world::now() + PAGE_DEADLINE;
        poll(what, PAGE_DEADLINE * 2, || {
            let found = look();
            if found.is_none() && crate::world::now() > end {
                self.screenshot("failure");
                let text = self.script("return location.href + '\\n' + document.body.innerText");
                panic!(
                    "{what}: not within {PAGE_DEADLINE:?}; the page shows:\n{}",
                    as_text(&text)
                );
            }
            found
        })
    }

    /// The text of an element, empty once it is gone (12.4.5).
    pub(crate) fn text(&self, element: &Element) -> String {
        as_text(
            &self
                .get(&format!("/element/{}/text", element.0))
                .unwrap_or(Value::Null),
        )
    }

    /// An attribute of an element (12.4.2).
    pub(crate) fn attribute(&self, element: &Element, name: &str) -> String {
        let path = format!("/element/{}/attribute/{name}", element.0);
        as_text(&self.get(&path).unwrap_or(Value::Null))
    }

    /// Clicks the first such element; again if the page rendered it anew meanwhile (12.5.1).
    pub(crate) fn click(&self, testid: &str) {
        self.wait(&format!("`{testid}` can be clicked"), || {
            let element = self.all(testid).into_iter().next()?;
            self.try_click(&element).then_some(())
        });
    }

    /// Clicks the element with this text; again if the page rendered it anew meanwhile.
    pub(crate) fn click_with(&self, testid: &str, text: &str) {
        self.wait(&format!("`{testid}` with `{text}` can be clicked"), || {
            let mut all = self.all(testid).into_iter();
            let element = all.find(|element| self.text(element).contains(text))?;
            self.try_click(&element).then_some(())
        });
    }

    fn try_click(&self, element: &Element) -> bool {
        // Scrolled only as far as needed, it could lie under a heading that stays on top.
        let script = "arguments[0].scrollIntoView({ block: 'center' })";
        let body = json!({ "script": script, "args": [{ ELEMENT: element.0 }] });
        let scrolled = self.post("/execute/sync", &body);
        let path = format!("/element/{}/click", element.0);
        scrolled.and_then(|_| self.post(&path, &json!({}))).is_ok()
    }

    /// Types into a field, which is emptied first (12.5.2, 12.5.3).
    pub(crate) fn fill(&self, testid: &str, text: &str) {
        self.wait(&format!("`{testid}` takes text"), || {
            let element = self.all(testid).into_iter().next()?;
            let path = |what: &str| format!("/element/{}/{what}", element.0);
            self.post(&path("clear"), &json!({})).ok()?;
            self.post(&path("value"), &json!({ "text": text })).ok()
        });
    }

    /// Sets a long text at once, as pasting does, with the events that follow it.
    pub(crate) fn paste(&self, testid: &str, text: &str) {
        self.find(testid);
        let script = "const field = document.querySelector(`[data-testid=\"${arguments[0]}\"]`);\
            field.focus(); field.value = arguments[1];\
            for (const kind of ['input', 'change'])\
              field.dispatchEvent(new Event(kind, { bubbles: true }));";
        let body = json!({ "script": script, "args": [testid, text] });
        self.post("/execute/sync", &body)
            .expect("the text is pasted");
    }

    /// Runs a script that returns a value (13.2.1).
    pub(crate) fn script(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.post("/execute/sync", &body).unwrap_or(Value::Null)
    }

    /// The text of a letter: of the element, or of the document in its frame.
    pub(crate) fn letter_text(&self, testid: &str) -> String {
        let Some(element) = self.all(testid).into_iter().next() else {
            return String::new();
        };
        let source = self.attribute(&element, "srcdoc");
        if source.is_empty() {
            self.text(&element)
        } else {
            source
        }
    }

    /// Keeps what the window shows in `target/screenshots` (17.1).
    pub(crate) fn screenshot(&self, name: &str) {
        let folder = std::env::var_os("LETTERLOCK_SCREENSHOTS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots"),
            PathBuf::from,
        );
        fs::create_dir_all(&folder).expect("the folder for screenshots");
        // The window may be between two pages; a picture is not worth a failure.
        if let Ok(Value::String(encoded)) = self.get("/screenshot") {
            let picture = BASE64.decode(encoded).expect("a picture in base64");
            fs::write(folder.join(format!("{name}.png")), picture).expect("keep the picture");
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Ends the browser; killing the driver alone would leave it running.
            drop(http::exchange("DELETE", &self.session, None));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn chromedriver() -> Command {
    program("chromium", "chromium");
    match std::env::var_os("CHROMEDRIVER") {
        Some(path) => Command::new(path),
        None => program("chromedriver", "chromium-driver"),
    }
}

fn capabilities(profile: &Path) -> Value {
    let mut arguments: Vec<String> = [
        "--headless=new",
        // Root has no sandbox; the pages are our own.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=1280,900",
        "--lang=en-GB",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": { "args": arguments },
    } } })
}

/// One command; `Err` has the driver's message.
fn command(method: &str, url: &str, body: &Value) -> Result<Value, String> {
    let body = (!body.is_null()).then(|| body.to_string());
    let answer = http::exchange(method, url, body.as_deref()).map_err(|error| error.to_string())?;
    let mut answer_body: Value =
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let value = answer_body
        .get_mut("value")
        .map(Value::take)
        .unwrap_or_default();
    if answer.status == 200 {
        return Ok(value);
    }
    Err(value.get("message").map(as_text).unwrap_or_default())
}
