//! The page for people who cannot see it, or not well.

use serde_json::{Value, json};
use xtask::engines::{Ability, Scheme, Wishes};

use crate::browser::can;
use crate::visitor::{Visit, Visitor};

const CONTROLS: [&str; 9] = [
    "button",
    "textbox",
    "link",
    "checkbox",
    "radio",
    "combobox",
    "progressbar",
    "DisclosureTriangle",
    "meter",
];

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn every_control_has_a_name() {
    if !can(&[Ability::AccessibilityTree]) {
        return;
    }
    let visitor = Visitor::settled();
    visitor.assert_controls_have_names();
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn every_control_has_a_name_where_the_page_offers_more_models() {
    if !can(&[Ability::AccessibilityTree]) {
        return;
    }
    let visitor = Visitor::with_a_final_model();
    visitor.wait_for("#offer");
    visitor.assert_controls_have_names();
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_offer_of_more_models_can_be_read_and_is_not_cut_off() {
    if !can(&[Ability::Media]) {
        return;
    }
    let visitor = Visitor::with_a_final_model();
    visitor.write("I love this, but I am afraid it will not last.");
    visitor.wait_until("document.querySelector('#results').dataset.state === 'complete'");
    visitor.wait_for("#offer");
    visitor.open_everything();
    for scheme in ["light", "dark"] {
        visitor.browser.prefer("prefers-color-scheme", scheme);
        visitor.wait_for_stillness();
        let faint = visitor.session().run(CONTRAST, Value::Null);
        assert_eq!(faint, json!([]), "{scheme}");
    }
    must_fit(&visitor, &[320, 390, 1280]);
    visitor.leave();
}

impl Visitor {
    fn assert_controls_have_names(&self) {
        self.open_everything();
        let tree = self.session().devtools("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().unwrap();
        let controls = nodes.iter().filter(|node| {
            node["ignored"] != true
                && CONTROLS.contains(&node["role"]["value"].as_str().unwrap_or_default())
        });
        let mut count = 0;
        for node in controls {
            count += 1;
            let name = node["name"]["value"].as_str().unwrap_or_default();
            assert!(!name.trim().is_empty(), "a {} has no name: {node:#}", node["role"]["value"]);
        }
        assert!(count >= 8, "only {count} controls");
    }
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_document_has_a_language_a_title_one_heading_and_landmarks() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    assert_eq!(visitor.ask("document.documentElement.lang"), "en");
    assert!(visitor.says("document.title.length > 0"));
    assert_eq!(visitor.ask("document.querySelectorAll('h1').length"), 1);
    assert_eq!(visitor.ask("document.querySelectorAll('main').length"), 1);
    // No level of headings is skipped.
    let levels = visitor.ask(
        "Array.from(document.querySelectorAll('h1,h2,h3,h4,h5,h6'), heading => Number(heading.tagName[1]))",
    );
    let levels: Vec<u8> = serde_json::from_value(levels).unwrap();
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    let doubled = visitor.ask(
        "Array.from(document.querySelectorAll('[id]'), element => element.id)\
         .filter((id, place, all) => all.indexOf(id) !== place)",
    );
    assert_eq!(doubled, json!([]));
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_result_is_announced_once() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    assert_eq!(
        visitor.ask(
            "(status => status.getAttribute('aria-live') ?? status.getAttribute('role') ?? status.tagName)\
             (document.querySelector('#status'))"
        )
        .as_str()
        .map(|live| ["polite", "status", "OUTPUT"].contains(&live)),
        Some(true)
    );
    visitor.session().run(
        "window.said = []; new MutationObserver(() => {
             const sentence = document.querySelector('#status').textContent.trim();
             const isWhole = document.querySelector('#results').dataset.state === 'complete';
             if (isWhole && sentence && sentence !== window.said.at(-1)) window.said.push(sentence);
         }).observe(document.querySelector('#status'), { childList: true, characterData: true, subtree: true });",
        Value::Null,
    );
    visitor.classify("I love this so much!");
    // Where the folds' answers are more than a second apart, the first are announced, too.
    visitor.wait_until("window.said.length > 0");
    std::thread::sleep(std::time::Duration::from_secs(3));
    let said: Vec<String> = serde_json::from_value(visitor.ask("window.said")).unwrap();
    assert_eq!(said.len(), 1, "a listener would hear {said:?}");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn words_stand_out_from_what_is_behind_them_in_light_and_dark() {
    if !can(&[Ability::Media]) {
        return;
    }
    let visitor = Visitor::settled();
    visitor.classify("I love this, but I am afraid it will not last.");
    visitor.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    visitor.open_everything();
    for scheme in ["light", "dark"] {
        visitor.browser.prefer("prefers-color-scheme", scheme);
        visitor.wait_for_stillness();
        let faint = visitor.session().run(CONTRAST, Value::Null);
        assert_eq!(faint, json!([]), "{scheme}");
    }
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_visitor_who_prefers_dark_has_a_dark_page_from_the_start() {
    // The brightness of the page's background, from 0 to 255.
    const BRIGHTNESS: &str = "(colour => colour.match(/[0-9.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part) / 3, 0))\
        (getComputedStyle(document.body).backgroundColor)";
    let brightness = |scheme| {
        let wishes = Wishes { scheme, ..Wishes::default() };
        let visitor = Visitor::ready_for(&Visit { wishes, ..Visit::default() });
        visitor.arrive();
        visitor.wait_for_all_folds();
        visitor.classify("It is getting late.");
        visitor.open_everything();
        visitor.wait_for_stillness();
        assert_eq!(visitor.session().run(CONTRAST, Value::Null), json!([]), "{scheme:?}");
        visitor.picture(&format!("preferring-{scheme:?}").to_lowercase());
        let brightness = visitor.ask(BRIGHTNESS).as_f64().unwrap();
        visitor.leave();
        brightness
    };
    let (light, dark) = (brightness(Scheme::Light), brightness(Scheme::Dark));
    assert!(light > 200.0 && dark < 60.0, "{light} in light, {dark} in dark");
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn reduced_motion_is_respected() {
    if !can(&[Ability::Media]) {
        return;
    }
    let visitor = Visitor::ready();
    visitor.browser.prefer("prefers-reduced-motion", "reduce");
    visitor.arrive();
    visitor.wait_for_all_folds();
    visitor.write("Hold still.");
    let moving = visitor.ask(
        "document.getAnimations().filter(motion => motion.effect.getComputedTiming().duration > 10)\
         .map(motion => motion.effect.target?.outerHTML.slice(0, 120))",
    );
    assert_eq!(moving, json!([]));
    visitor.leave();
}

/// Makes the window as wide as each of `widths`, in which nothing may be cut off.
fn must_fit(visitor: &Visitor, widths: &[u32]) {
    for &width in widths {
        let width = visitor.browser.nearest(width);
        visitor.resize(width, 800);
        visitor.wait_until(&format!("matchMedia('(width: {width}px)').matches"));
        visitor.wait_for_stillness();
        let overflow = visitor.ask(OVERFLOW);
        assert!(
            overflow.as_i64().unwrap() <= 0,
            "at {width} pixels the page is {overflow} too wide"
        );
    }
}

/// The pixels that are cut off. (`innerWidth` is no measure: on a phone it grows with what is too wide.)
const OVERFLOW: &str =
    "document.documentElement.scrollWidth - document.documentElement.clientWidth";

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn nothing_is_cut_off_on_a_narrow_screen_or_at_large_type() {
    let visitor = Visitor::settled();
    visitor
        .classify("Antidisestablishmentarianism is a word that frightens me, and here is another.");
    visitor.open_everything();
    must_fit(&visitor, &[320, 390, 768, 1280]);
    let width = visitor.browser.nearest(390);
    visitor.resize(width, 800);
    visitor.wait_until(&format!("matchMedia('(width: {width}px)').matches"));
    visitor.session().run("document.documentElement.style.fontSize = '200%'", Value::Null);
    visitor.wait_for_stillness();
    let overflow = visitor.ask(OVERFLOW);
    assert!(overflow.as_i64().unwrap() <= 0, "at 200% the page is {overflow} pixels too wide");
    visitor.leave();
}

impl Visitor {
    /// Opens every `details` element.
    pub fn open_everything(&self) {
        self.session().run(
            "document.querySelectorAll('details').forEach(details => { details.open = true; })",
            Value::Null,
        );
    }

    /// Makes the page so large, with two device pixels per pixel where that can be chosen.
    pub fn resize(&self, width: u32, height: u32) {
        self.browser.resize(width, height, 2.0);
    }
}

/// The visible texts whose contrast with their background misses WCAG 2's level AA, where both are plain colours.
/// https://www.w3.org/TR/WCAG22/#contrast-minimum
const CONTRAST: &str = r"
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return Array.from(canvas.getImageData(0, 0, 1, 1).data);
    };
    const over = ([r, g, b, a], [R, G, B]) =>
        [r, g, b].map((value, i) => (value * a + [R, G, B][i] * (255 - a)) / 255).concat(255);
    const luminance = colour => {
        const [r, g, b] = colour.map(value => {
            value /= 255;
            return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = element => {
        if (!element) return rgba(getComputedStyle(document.documentElement).colorScheme.includes('dark')
            && matchMedia('(prefers-color-scheme: dark)').matches ? '#121212' : '#fff');
        const style = getComputedStyle(element);
        if (style.backgroundImage !== 'none') return null;
        const colour = rgba(style.backgroundColor);
        if (colour[3] === 255) return colour;
        const behind = background(element.parentElement);
        return behind && over(colour, behind);
    };
    const faint = [];
    for (const element of document.querySelectorAll('body *')) {
        const has_text = Array.from(element.childNodes)
            .some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
        if (!has_text || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        if (element.closest('[disabled], [aria-disabled=true]')) continue;
        const box = element.getBoundingClientRect();
        if (box.width < 2 || box.height < 2) continue;
        const style = getComputedStyle(element);
        const behind = background(element);
        if (!behind) continue;
        const [a, b] = [luminance(over(rgba(style.color), behind)), luminance(behind)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
        if (contrast < (large ? 3 : 4.5))
            faint.push(`${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 100)}`);
    }
    return faint;";
