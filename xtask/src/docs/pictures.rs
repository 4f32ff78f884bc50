//! `cargo xtask docs --pictures`: the README's pictures of the page, made by a story so that they show the page as it is.

use anyhow::{Context, Result, ensure};
use fs_err as fs;

use crate::engines::Engine;
use crate::site::Site;
use crate::stories::{self, Choice};
use crate::workspace::Workspace;

const STORY: &str = "the_picture_of_the_readme";
const FOLDER: &str = "docs/pictures";
const SCHEMES: [&str; 2] = ["light", "dark"];

/// A README is read on phones, too.
const LARGEST: usize = 200_000;

pub fn renew(workspace: &Workspace) -> Result<()> {
    let choice = Choice { story: STORY, engine: Some(Engine::Chromium), times: 1 };
    stories::run(workspace, &choice)?;
    let folder = workspace.root.join(FOLDER);
    fs::create_dir_all(&folder)?;
    for scheme in SCHEMES {
        let taken = Site::of(workspace).screenshots.join(format!("readme-{scheme}.png"));
        let bytes =
            fs::read(&taken).with_context(|| format!("the story left no {}", taken.display()))?;
        let size = bytes.len();
        ensure!(
            size <= LARGEST,
            "{} has {size} bytes, more than {LARGEST}: show less of the page",
            taken.display()
        );
        let picture = folder.join(format!("page-{scheme}.png"));
        fs::write(&picture, bytes)?;
        eprintln!("docs: {} ({size} bytes)", picture.display());
    }
    Ok(())
}
