//! The scores that a bundle tells of its run: the honest interval, and how far probabilities can be believed.

use serde_json::Value;

use super::{Folder, training::trained};

const EXPORT: &str = "export --run run --output out/bundle --quiet";

fn scores(folder: &Folder) -> Value {
    let manifest = folder.read("out/bundle/manifest.json");
    serde_json::from_str::<Value>(&manifest).unwrap()["scores"].take()
}

/// The table of a label, counted from oof.csv and the training file: the end of each bin, its texts, and those with the label.
fn counted(folder: &Folder, label: &str) -> Vec<(f64, u64, u64)> {
    let column = |file: &str| -> Vec<f64> {
        let text = folder.read(file);
        // From the end, as the text before has commas.
        let mut lines = text.lines().map(|line| line.rsplit(',').collect::<Vec<_>>());
        let place = lines.next().unwrap().iter().position(|name| *name == label).unwrap();
        lines.map(|cells| cells[place].parse().unwrap()).collect()
    };
    let mut bins = vec![(0, 0); 10];
    for (probability, target) in column("run/oof.csv").into_iter().zip(column("train.csv")) {
        let (texts, with_label) = &mut bins[((probability * 10.0) as usize).min(9)];
        *texts += 1;
        *with_label += target as u64;
    }
    let mut table: Vec<(f64, u64, u64)> = Vec::new();
    for (bin, (texts, with_label)) in bins.into_iter().enumerate() {
        match table.last_mut().filter(|last| last.1 < 30) {
            Some(last) => {
                *last = (f64::from(bin as u32 + 1) / 10.0, last.1 + texts, last.2 + with_label);
            }
            None => table.push((f64::from(bin as u32 + 1) / 10.0, texts, with_label)),
        }
    }
    if let [.., before, last] = &mut table[..]
        && last.1 < 30
    {
        *before = (1.0, before.1 + last.1, before.2 + last.2);
        table.pop();
    }
    table
}

#[test]
fn a_bundle_has_the_honest_interval_and_tells_how_far_probabilities_can_be_believed() {
    let folder = trained();
    folder.run(EXPORT);
    let of_bundle = scores(&folder);
    let summary: Value = serde_json::from_str(&folder.read("run/summary.json")).unwrap();
    let honest = &summary["cross_validation"]["intervals"]["cross_fitted"];
    assert!(honest.is_object());
    assert_eq!(&of_bundle["macro_f1_interval"], honest);
    for (place, label) in ["joy", "fear"].into_iter().enumerate() {
        let told = &of_bundle["per_label"][place];
        assert_eq!(told["interval"], summary["per_label"][place]["interval"]);
        let bins = told["reliability"].as_array().unwrap().iter().map(|bin| {
            let count = |name: &str| bin[name].as_u64().unwrap();
            (bin["below"].as_f64().unwrap(), count("texts"), count("with_label"))
        });
        let bins: Vec<_> = bins.collect();
        assert_eq!(bins, counted(&folder, label), "{label}");
        assert_eq!(bins.iter().map(|bin| bin.1).sum::<u64>(), 60);
    }
    assert!(folder.run("inspect out/bundle").contains(" (95% interval 0."));

    // Averaged weights are none of the models that were scored.
    folder.run(&format!("{EXPORT} --soup"));
    let of_bundle = scores(&folder);
    assert_eq!(&of_bundle["macro_f1_interval"], honest);
    assert_eq!(of_bundle["per_label"][0].get("reliability"), None);

    // What an earlier version wrote.
    let mut earlier = summary.clone();
    earlier["cross_validation"].as_object_mut().unwrap().remove("intervals").unwrap();
    folder.write("run/summary.json", earlier.to_string());
    folder.run(EXPORT);
    assert_eq!(&scores(&folder)["macro_f1_interval"], honest);
}
