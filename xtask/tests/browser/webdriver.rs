//! A WebDriver session: the part of the protocol that the stories use, and what chromedriver and geckodriver add to it.
//!
//! https://www.w3.org/TR/webdriver2/; for `devtools`, https://chromedevtools.github.io/devtools-protocol/; for
//! `run_in_firefox`, https://firefox-source-docs.mozilla.org/testing/geckodriver/Commands.html

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// The time limit of a command: longer than that of a script, so that the driver's error is the one to see.
const PATIENCE: Duration = Duration::from_mins(6);

/// The time limit of a script, which may load models.
const SCRIPT: Duration = Duration::from_mins(5);

/// The property that holds an element's id in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser that is driven; dropping the session ends it.
pub struct Session {
    agent: Agent,
    url: String,
    version: String,
}

/// The id of an element that was found in the document.
struct Element(String);

impl Session {
    /// # Errors
    /// What the driver says if the browser does not start.
    pub fn start(driver: &str, capabilities: &Value) -> Result<Self, String> {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            // The body of an error has its message.
            .http_status_as_error(false)
            .build();
        let (agent, url) = (config.into(), format!("{driver}/session"));
        let mut session = Self { agent, url, version: String::new() };
        let started =
            session.post("", &json!({ "capabilities": { "alwaysMatch": capabilities } }))?;
        session.url = format!("{}/{}", session.url, started["sessionId"].as_str().unwrap());
        let version = started["capabilities"]["browserVersion"].as_str();
        version.unwrap_or_default().clone_into(&mut session.version);
        session.post("/timeouts", &json!({ "script": SCRIPT.as_millis() as u64 }))?;
        Ok(session)
    }

    /// The browser's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).unwrap();
    }

    pub fn reload(&self) {
        self.post("/refresh", &json!({})).unwrap();
    }

    /// Runs a function's body in the page and returns its result; `arguments[0]` is the argument.
    pub fn run(&self, script: &str, argument: Value) -> Value {
        self.try_run(script, argument).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs a function's body that may throw.
    pub fn try_run(&self, script: &str, argument: Value) -> Result<Value, String> {
        self.post("/execute/sync", &json!({ "script": script, "args": [argument] }))
    }

    /// The first element that the CSS selector finds.
    fn find(&self, selector: &str) -> Result<Element, String> {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &body)?;
        Ok(Element(found[ELEMENT].as_str().unwrap().to_owned()))
    }

    /// Clicks like a mouse: fails if the element is hidden or covered.
    pub fn click(&self, selector: &str) -> Result<(), String> {
        let Element(id) = self.find(selector)?;
        self.post(&format!("/element/{id}/click"), &json!({})).map(drop)
    }

    /// Types into an element. For a file input, the keys are the path of a file.
    pub fn send_keys(&self, selector: &str, keys: &str) {
        let Element(id) = self.find(selector).unwrap_or_else(|error| panic!("{error}"));
        self.post(&format!("/element/{id}/value"), &json!({ "text": keys }))
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses and releases keys together, where the focus is.
    pub fn press(&self, keys: &[&str]) {
        let event = |kind: &str, key: &&str| json!({ "type": kind, "value": key });
        let down = keys.iter().map(|key| event("keyDown", key));
        let up = keys.iter().rev().map(|key| event("keyUp", key));
        let actions: Vec<Value> = down.chain(up).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [keyboard] })).unwrap();
    }

    /// What the driver answers to a question.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        Self::call(self.agent.get(format!("{}{path}", self.url)).call())
    }

    /// Makes the window so large that the page in it has this size.
    pub fn resize_page(&self, width: u32, height: u32) {
        const SIZE: &str = "return [outerWidth - innerWidth, outerHeight - innerHeight]";
        let frame = self.run(SIZE, Value::Null);
        let whole = |inside: u32, place: usize| i64::from(inside) + frame[place].as_i64().unwrap();
        let rect = json!({ "width": whole(width, 0), "height": whole(height, 1) });
        self.post("/window/rect", &rect).unwrap();
    }

    /// Runs a function's body in Firefox itself, outside the page.
    pub fn run_in_firefox(&self, script: &str, argument: Value) {
        self.post("/moz/context", &json!({ "context": "chrome" })).unwrap();
        let outcome = self.try_run(script, argument);
        self.post("/moz/context", &json!({ "context": "content" })).unwrap();
        outcome.unwrap_or_else(|error| panic!("{script}: {error}"));
    }

    /// Sends the page a command of Chromium's DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Sets `navigator.onLine` and whether the page reaches the network. Workers still reach it.
    pub fn set_offline(&self, offline: bool) {
        const PATH: &str = "/chromium/network_conditions";
        let done = if offline {
            let conditions = json!({ "offline": true, "latency": 0, "throughput": 0 });
            self.post(PATH, &json!({ "network_conditions": conditions }))
        } else {
            Self::call(self.agent.delete(format!("{}{PATH}", self.url)).call())
        };
        done.unwrap();
    }

    /// The console's entries since the last call, of the page, its workers and Chromium.
    pub fn console(&self) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({ "type": "browser" })).unwrap();
        entries.as_array().unwrap().clone()
    }

    /// Asks the browser to end, and does not wait for it.
    pub fn close_browser(&self) {
        // There may be nobody left to answer.
        drop(self.post("/goog/cdp/execute", &json!({ "cmd": "Browser.close", "params": {} })));
    }

    /// Ends the browser.
    pub fn end(&self) {
        // After a failed story the browser may already have ended.
        drop(Self::call(self.agent.delete(&self.url).call()));
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.agent.post(format!("{}{path}", self.url));
        Self::call(request.header("Content-Type", "application/json").send(body.to_string()))
    }

    fn call(
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, String> {
        let mut response = response.map_err(|error| format!("no answer: {error}"))?;
        let body = response.body_mut().with_config().limit(1 << 30).read_to_string();
        let body = body.map_err(|error| format!("half an answer: {error}"))?;
        let mut answer: Value =
            serde_json::from_str(&body).map_err(|error| format!("no JSON ({error}): {body}"))?;
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(kind) => Err(format!("{kind}: {}", value["message"].as_str().unwrap_or_default())),
            None => Ok(value),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

/// Special keys (https://www.w3.org/TR/webdriver2/#keyboard-actions).
pub mod keys {
    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";
    pub const SHIFT: &str = "\u{e008}";
    pub const BACKSPACE: &str = "\u{e003}";
}
