//! A WebDriver session: as much of the protocol as the stories use, and Chromium's own commands behind it.
//!
//! https://www.w3.org/TR/webdriver2/ and, for `devtools`, https://chromedevtools.github.io/devtools-protocol/

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

/// Longer than anything a story waits for in one command.
const PATIENCE: Duration = Duration::from_mins(2);

/// The property that stands for an element in answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Ends with the value.
pub struct Session {
    agent: Agent,
    url: String,
}

/// An element of the document as it was when it was looked for.
pub struct Element(String);

impl Session {
    pub fn start(driver: &str, capabilities: &Value) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            // The body of an error says what went wrong.
            .http_status_as_error(false)
            .build();
        let mut session = Self { agent: config.into(), url: format!("{driver}/session") };
        let started =
            session.post("", &json!({ "capabilities": { "alwaysMatch": capabilities } })).unwrap();
        session.url = format!("{}/{}", session.url, started["sessionId"].as_str().unwrap());
        session
    }

    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).unwrap();
    }

    pub fn reload(&self) {
        self.post("/refresh", &json!({})).unwrap();
    }

    /// Runs a function's body in the page and gives what it returns; `arguments[0]` is the argument.
    pub fn run(&self, script: &str, argument: Value) -> Value {
        let body = json!({ "script": script, "args": [argument] });
        self.post("/execute/sync", &body).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The first element that the CSS selector finds.
    pub fn find(&self, selector: &str) -> Element {
        let body = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", &body).unwrap_or_else(|error| panic!("{error}"));
        Element(found[ELEMENT].as_str().unwrap().to_owned())
    }

    /// Clicks as a mouse would: what lies over the element or is not shown makes it fail.
    pub fn click(&self, selector: &str) {
        let Element(id) = self.find(selector);
        self.post(&format!("/element/{id}/click"), &json!({}))
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Types into an element; into a file input, the path of a file.
    pub fn send_keys(&self, selector: &str, keys: &str) {
        let Element(id) = self.find(selector);
        self.post(&format!("/element/{id}/value"), &json!({ "text": keys }))
            .unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses the keys together on whatever has the focus, and lets them go.
    pub fn press(&self, keys: &[&str]) {
        let event = |kind: &str, key: &&str| json!({ "type": kind, "value": key });
        let down = keys.iter().map(|key| event("keyDown", key));
        let up = keys.iter().rev().map(|key| event("keyUp", key));
        let actions: Vec<Value> = down.chain(up).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [keyboard] })).unwrap();
    }

    /// A command of Chromium's DevTools protocol, to the page.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// What `navigator.onLine` says, and whether the page itself reaches the network. Workers do, still.
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

    /// What the page and its workers wrote on the console since the last call, and what Chromium added.
    pub fn console(&self) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({ "type": "browser" })).unwrap();
        entries.as_array().unwrap().clone()
    }

    /// Ends the browser.
    pub fn end(&self) {
        // In `drop` of a failed story it may be gone already.
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
        let mut answer: Value = serde_json::from_str(&body.unwrap()).unwrap();
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

/// Keys that are no characters, by https://www.w3.org/TR/webdriver2/#keyboard-actions.
pub mod keys {
    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";
    pub const SHIFT: &str = "\u{e008}";
    pub const BACKSPACE: &str = "\u{e003}";
}
