//! The parts of a Markdown file that the checks need: fenced blocks, prose, headings and links. Not a parser of all Markdown, only of
//! the forms that these documents use.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

/// A comment on the line before a fenced block says why its commands cannot be run here.
const SKIP: (&str, &str) = ("<!-- docs: skip: ", " -->");

/// Programs whose commands must stand in fenced blocks, where the checks find them.
const PROGRAMS: [&str; 4] = ["cargo ", "native-train ", "trunk ", "QUINTET_"];

pub struct Document {
    /// Relative to the workspace.
    pub path: PathBuf,
    pub blocks: Vec<Block>,
    /// Lines outside fenced blocks, with their numbers.
    pub prose: Vec<(usize, String)>,
}

/// A fenced block of code.
#[derive(Debug, PartialEq)]
pub struct Block {
    /// Number of the fence's line, counted from 1.
    pub line: usize,
    pub language: String,
    /// Why its commands are not run.
    pub skip: Option<String>,
    pub lines: Vec<String>,
}

impl Document {
    pub fn parse(path: PathBuf, text: &str) -> Result<Self> {
        let mut document = Self { path, blocks: Vec::new(), prose: Vec::new() };
        let mut open: Option<Block> = None;
        for (line, text) in (1..).zip(text.lines()) {
            match (&mut open, text.strip_prefix("```")) {
                (Some(_), Some(_)) => document.blocks.extend(open.take()),
                (Some(block), None) => block.lines.push(text.to_owned()),
                (None, Some(language)) => {
                    let (language, lines) = (language.trim().to_owned(), Vec::new());
                    open = Some(Block { line, language, skip: document.skip(), lines });
                }
                (None, None) => {
                    ensure!(
                        !is_indented_command(text),
                        "{}: put this command into a fenced block, where it is checked",
                        document.place(line)
                    );
                    document.prose.push((line, text.to_owned()));
                }
            }
        }
        match open {
            Some(block) => bail!("{}: this block has no end", document.place(block.line)),
            None => Ok(document),
        }
    }

    /// File and line, as compilers print them.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// The reason given by the comment right above.
    fn skip(&self) -> Option<String> {
        let (_, above) = self.prose.last()?;
        Some(above.strip_prefix(SKIP.0)?.strip_suffix(SKIP.1)?.to_owned())
    }

    /// The names that `#anchor` may have, by GitHub's rule.
    pub fn anchors(&self) -> BTreeSet<String> {
        let heading = |(_, line): &(usize, String)| {
            let title = line.trim_start_matches('#');
            (line.starts_with('#') && title.starts_with(' ')).then(|| anchor(title.trim()))
        };
        self.prose.iter().filter_map(heading).collect()
    }

    /// Targets of links and pictures, with their lines.
    pub fn links(&self) -> Vec<(usize, &str)> {
        const FORMS: [(&str, char); 4] =
            [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"'), ("href=\"", '"')];
        let mut links = Vec::new();
        for (number, line) in &self.prose {
            for (open, close) in FORMS {
                let targets = line.split(open).skip(1).filter_map(|rest| rest.split_once(close));
                links.extend(targets.map(|(target, _)| (*number, target)));
            }
        }
        links
    }

    /// The `code` in its prose, with the lines.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| {
            line.split('`').skip(1).step_by(2).map(|code| (*number, code))
        })
    }
}

fn is_indented_command(line: &str) -> bool {
    let code = line.strip_prefix("    ").map(str::trim_start);
    code.is_some_and(|code| PROGRAMS.iter().any(|program| code.starts_with(program)))
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document> {
        Document::parse("guide.md".into(), text)
    }

    #[test]
    fn blocks_know_their_language_their_line_and_why_they_are_skipped() {
        let text =
            "# A\n```sh\ntrue\n```\n<!-- docs: skip: needs a GPU -->\n```console\n$ x\ny\n```\n";
        let block = |line, language: &str, skip: Option<&str>, lines: &[&str]| Block {
            line,
            language: language.into(),
            skip: skip.map(str::to_owned),
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
        };
        let expected = [
            block(2, "sh", None, &["true"]),
            block(6, "console", Some("needs a GPU"), &["$ x", "y"]),
        ];
        assert_eq!(parse(text).unwrap().blocks, expected);
    }

    #[test]
    fn refuses_commands_that_would_escape_the_checks() {
        assert!(parse("    cargo xtask test\n").is_err());
        assert!(parse("```sh\ntrue\n").is_err());
        assert!(parse("    a quotation\n").is_ok());
    }

    #[test]
    fn finds_anchors_links_and_code_outside_of_blocks() {
        let text = "## Which score, then?\n[a](b.md#c) and `--lr`, `x`\n<img src=\"d.png\">\n\
                    ```text\n[not](this)\n```\n";
        let document = parse(text).unwrap();
        assert_eq!(document.anchors(), BTreeSet::from(["which-score-then".to_owned()]));
        assert_eq!(document.links(), [(2, "b.md#c"), (3, "d.png")]);
        assert_eq!(document.code().collect::<Vec<_>>(), [(2, "--lr"), (2, "x")]);
    }
}
