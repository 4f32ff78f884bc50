//! A small training file, for the tests of several kinds.

/// A small training file: `rows` texts, each with the label that its words speak of.
pub fn sentences(rows: usize) -> String {
    let words = ["lovely", "smile", "dark", "creak", "party", "shadow", "cake", "scream"];
    let mut csv = "id,text,joy,fear\n".to_owned();
    for row in 0..rows {
        let (a, b) = (words[row % 8], words[(row * 5 + row / 8) % 8]);
        let has = |happy: [&str; 4]| u8::from(happy.contains(&a) || happy.contains(&b));
        let joy = has(["lovely", "smile", "party", "cake"]);
        let fear = has(["dark", "creak", "shadow", "scream"]);
        csv += &format!("r{row},\"a {a}, a {b} and number {row}\",{joy},{fear}\n");
    }
    csv
}
