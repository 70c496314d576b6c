//! Links within the repository lead somewhere.

use std::path::{Component, Path, PathBuf};

use super::{Page, assert_none, root};

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

/// What stands in `](…)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn every_relative_link_leads_somewhere() {
    let pages = Page::all();
    let (mut complaints, mut seen) = (vec![], 0);
    for page in &pages {
        let prose = page.prose();
        let links =
            prose.iter().flat_map(|line| targets(line)).filter(|it| !it.contains("://") && !it.starts_with("mailto:"));
        for link in links {
            seen += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                PathBuf::from(&page.name)
            } else {
                normal(&Path::new(&page.name).parent().unwrap().join(file))
            };
            if !root().join(&target).exists() {
                complaints.push(format!("{}: there is no {}", page.name, target.display()));
            } else if let Some(there) = pages.iter().find(|page| Path::new(&page.name) == target)
                && !fragment.is_empty()
                && !there.headings().iter().any(|heading| anchor(heading) == fragment)
            {
                complaints.push(format!("{}: {} has no heading for #{fragment}", page.name, there.name));
            }
        }
    }
    assert!(seen > 50, "only {seen} links are seen");
    assert_none(&complaints);
}

/// A page that nothing leads to is not read.
#[test]
fn every_page_of_docs_is_linked_from_the_readme() {
    let readme = Page::of("README.md");
    let linked: Vec<_> = readme.prose().into_iter().flat_map(targets).map(ToOwned::to_owned).collect();
    let pages = Page::all();
    let docs = pages.iter().filter(|page| page.name.starts_with("docs/"));
    let missing: Vec<_> = docs.filter(|page| !linked.contains(&page.name)).map(|page| page.name.clone()).collect();
    assert_none(&missing);
}
