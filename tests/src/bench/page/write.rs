//! The page's text, and its files: BENCH.md, the plots beside it, and figures as JSON.

use super::Section;
use super::busy::Quiet;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Where the plots are, from the root of the repository.
const PLOTS: &str = "contrib/bench";

/// All that the page says.
pub(super) struct Page<'a> {
    pub(super) runs: usize,
    /// How long it took.
    pub(super) minutes: f64,
    pub(super) quiet: &'a Quiet,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) versions: Vec<(&'static str, String)>,
    pub(super) missing: Vec<&'static str>,
    pub(super) sections: &'a [Section],
}

impl Page<'_> {
    /// The text of BENCH.md.
    fn markdown(&self) -> String {
        let mut text = "# Ours beside its peers\n\n".to_owned();
        if let Some(why) = self.quiet.objection() {
            text += &format!(
                "**Made on a busy machine**: {why}. Times are too long and ratios uncertain; make it again \
                 on a quiet one.\n\n"
            );
        }
        text += &format!(
            "Made by `cargo xtask bench page {}` in {:.0} minutes; nothing here is written by hand. Ratios \
             can be compared between machines, times cannot. CONTRIBUTING.md says how to make the page.\n\n",
            self.runs, self.minutes
        );
        for (name, value) in &self.facts {
            text += &format!("* {name}: {value}\n");
        }
        text += &format!(
            "* others took {:.1} % of the processors meanwhile; a fixed loop took {:.2} times its least \
             in one of ten runs; load averages {}\n",
            self.quiet.others * 100.0,
            self.quiet.spread,
            self.quiet.load
        );
        for (name, version) in &self.versions {
            text += &format!("* {name}: {version}\n");
        }
        for line in &self.missing {
            text += &format!("* missing: {line}\n");
        }
        for section in self.sections {
            text += &format!(
                "\n## {}\n\n{}\n\n{}",
                section.title,
                section.text,
                section.table.markdown()
            );
            if let Some(plot) = &section.plot {
                text += &format!("\n![{}]({PLOTS}/{})\n", plot.words, plot.file);
            }
        }
        text
    }

    /// All figures.
    pub(super) fn json(&self) -> Value {
        let words = |pairs: &[(&'static str, String)]| -> Map<String, Value> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let sections = self.sections.iter().map(|one| (one.name.to_owned(), one.figures.clone()));
        json!({
            "runs": self.runs,
            "machine": words(&self.facts),
            "versions": words(&self.versions),
            "missing": self.missing,
            "busy": {
                "others": self.quiet.others,
                "spread": self.quiet.spread,
                "load": self.quiet.load,
                "objection": self.quiet.objection(),
            },
            "sections": sections.collect::<Map<_, _>>(),
        })
    }

    /// Writes the page and the plots below this folder.
    pub(super) fn write(&self, root: &Path) -> Result<(), String> {
        let plots = root.join(PLOTS);
        std::fs::create_dir_all(&plots).map_err(|error| format!("{}: {error}", plots.display()))?;
        for plot in self.sections.iter().filter_map(|section| section.plot.as_ref()) {
            file(&plots.join(plot.file), &plot.svg)?;
        }
        file(&root.join("BENCH.md"), &self.markdown())
    }
}

/// Writes a file, and says so.
pub(super) fn file(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::table::Table;
    use super::super::Plot;
    use super::*;

    fn section() -> Section {
        let mut table = Table::new(&["hello", "ms"]);
        table.row(vec!["ours".to_owned(), "1.0".to_owned()]);
        Section {
            name: "start",
            title: "Start-up",
            text: "What it means.".to_owned(),
            table,
            figures: json!([1.0]),
            plot: Some(Plot {
                file: "start.svg",
                words: "Start".to_owned(),
                svg: "<svg/>".to_owned(),
            }),
        }
    }

    fn page<'a>(quiet: &'a Quiet, sections: &'a [Section]) -> Page<'a> {
        Page {
            runs: 3,
            minutes: 12.3,
            quiet,
            facts: vec![("day", "2026-01-02".to_owned())],
            versions: vec![("Node", "v20".to_owned())],
            missing: vec!["WAMR is not on PATH."],
            sections,
        }
    }

    const QUIET: Quiet = Quiet { others: 0.01, spread: 1.03, load: String::new() };

    #[test]
    fn the_page_says_how_it_was_made_and_what_is_missing() {
        let sections = [section()];
        let text = page(&QUIET, &sections).markdown();
        for part in [
            "`cargo xtask bench page 3` in 12 minutes",
            "* day: 2026-01-02\n",
            "* Node: v20\n",
            "* missing: WAMR is not on PATH.\n",
            "\n## Start-up\n\nWhat it means.\n\n| hello | ms |\n",
            "\n![Start](contrib/bench/start.svg)\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        assert!(!text.contains("busy machine"), "{text}");
    }

    #[test]
    fn a_page_of_a_busy_machine_says_so_in_its_head() {
        let busy = Quiet { others: 0.3, ..QUIET };
        let sections = [section()];
        let text = page(&busy, &sections).markdown();
        let head = text.split("## ").next().unwrap();
        assert!(head.contains("**Made on a busy machine**: others took 30 %"), "{head}");
        assert!(page(&busy, &sections).json()["busy"]["objection"].is_string());
    }

    #[test]
    fn figures_have_each_section_by_its_key() {
        let sections = [section()];
        let figures = page(&QUIET, &sections).json();
        assert_eq!(figures["sections"]["start"], json!([1.0]));
        assert_eq!(figures["busy"]["objection"], Value::Null);
    }

    #[test]
    fn the_page_and_its_plots_are_written_where_the_page_looks_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let sections = [section()];
        page(&QUIET, &sections).write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("BENCH.md")).unwrap();
        let plot = text.split_once("](").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
        assert_eq!(std::fs::read_to_string(folder.path().join(plot)).unwrap(), "<svg/>");
    }
}
