//! Reads a TOML text field by field, and collects every problem with its line, its path, what was found and what is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// An error in a product file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = ProductFileFault)]
pub struct Problem {
    /// Line of the file, from 1.
    #[schema(example = 7)]
    pub line: usize,
    /// Path of the field, such as `plan[1].periods[3]`; empty if the text is not TOML.
    #[schema(example = "plan[1].periods[3]")]
    pub field: String,
    /// What stands there.
    pub found: String,
    /// What is allowed there.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, field, found, allowed } = self;
        if field.is_empty() {
            write!(f, "line {line}: found {found}, allowed: {allowed}")
        } else {
            write!(f, "line {line}: {field}: found {found}, allowed: {allowed}")
        }
    }
}

/// Collects the problems of one text. Each method that reads something returns `None` after it has recorded why.
pub struct Reader<'t> {
    text: &'t str,
    /// Where each line but the last one ends.
    line_ends: Vec<usize>,
    problems: Vec<Problem>,
    /// The line of every field that was read, for rules that concern several fields.
    lines: BTreeMap<String, usize>,
}

/// A table that is being read.
pub struct Section<'d> {
    table: &'d DeTable<'d>,
    path: String,
    line: usize,
    asked: Vec<&'static str>,
}

/// Characters of a wrong value that are shown.
const FOUND_SHOWN_MAX: usize = 60;
/// Problems that are reported; with more, the text is not a product file at all.
pub const PROBLEMS_MAX: usize = 100;
/// The most elements of a list; far more than any field needs.
pub const LIST_MAX: usize = 1_000;

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Reader<'t> {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Reader { text, line_ends, problems: Vec::new(), lines: BTreeMap::new() }
    }

    /// The whole document; `None` when it is not TOML.
    pub fn parse(&mut self) -> Option<Spanned<DeTable<'t>>> {
        match DeTable::parse(self.text) {
            Ok(document) => Some(document),
            Err(error) => {
                let line = error.span().map_or(1, |span| self.line(&span));
                let found = format!("what is not TOML ({})", error.message().replace('\n', ", "));
                self.problems.push(Problem { line, field: String::new(), found, allowed: "TOML".to_owned() });
                None
            }
        }
    }

    /// What `convert` makes of a required field.
    pub fn required<'d, T>(
        &mut self,
        section: &mut Section<'d>,
        name: &'static str,
        allowed: &str,
        convert: impl Fn(&DeValue<'d>) -> Option<T>,
    ) -> Option<T> {
        match self.find(section, name) {
            Some((value, path)) => self.convert(value, path, allowed, convert),
            None => {
                self.problem_at(section.line, section.path_of(name), "nothing", allowed);
                None
            }
        }
    }

    /// What `convert` makes of a field that may be left out: `Some(None)` when it is.
    pub fn optional<'d, T>(
        &mut self,
        section: &mut Section<'d>,
        name: &'static str,
        allowed: &str,
        convert: impl Fn(&DeValue<'d>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.find(section, name) {
            Some((value, path)) => self.convert(value, path, allowed, convert).map(Some),
            None => Some(None),
        }
    }

    /// What `convert` makes of each element of a required list.
    pub fn list<'d, T>(
        &mut self,
        section: &mut Section<'d>,
        name: &'static str,
        allowed: &str,
        convert: impl Fn(&DeValue<'d>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let allowed_list = format!("a list, each element {allowed}");
        let Some((value, path)) = self.find(section, name) else {
            self.problem_at(section.line, section.path_of(name), "nothing", &allowed_list);
            return None;
        };
        let elements = self.convert(value, path.clone(), &allowed_list, |value| value.as_array().map(|_| ()));
        elements?;
        let length = value.get_ref().as_array().map_or(0, |array| array.len());
        if length > LIST_MAX {
            let allowed = format!("at most {LIST_MAX} elements");
            self.problem_at(self.line(&value.span()), path, &format!("{length} elements"), &allowed);
            return None;
        }
        let mut result = Some(Vec::new());
        for (index, element) in value.get_ref().as_array().into_iter().flat_map(|array| array.iter()).enumerate() {
            match (self.convert(element, format!("{path}[{index}]"), allowed, &convert), &mut result) {
                (Some(element), Some(elements)) => elements.push(element),
                _ => result = None,
            }
        }
        result
    }

    /// A table inside another one, required.
    pub fn section<'d>(&mut self, parent: &mut Section<'d>, name: &'static str) -> Option<Section<'d>> {
        let section = self.optional_section(parent, name)?;
        if section.is_none() {
            self.problem_at(parent.line, parent.path_of(name), "nothing", "a table");
        }
        section
    }

    /// A table inside another one: `Some(None)` when it is left out.
    pub fn optional_section<'d>(
        &mut self,
        parent: &mut Section<'d>,
        name: &'static str,
    ) -> Option<Option<Section<'d>>> {
        match self.find(parent, name) {
            Some((value, path)) => self.table(value, path).map(Some),
            None => Some(None),
        }
    }

    /// The tables of a required list such as `[[plan]]`.
    pub fn sections<'d>(&mut self, parent: &mut Section<'d>, name: &'static str) -> Vec<Section<'d>> {
        let allowed = format!("one or more tables [[{name}]]");
        let Some((value, path)) = self.find(parent, name) else {
            self.problem_at(parent.line, parent.path_of(name), "nothing", &allowed);
            return Vec::new();
        };
        if self.convert(value, path.clone(), &allowed, |value| value.as_array().map(|_| ())).is_none() {
            return Vec::new();
        }
        let elements = value.get_ref().as_array().into_iter().flat_map(|array| array.iter());
        elements.enumerate().filter_map(|(index, element)| self.table(element, format!("{path}[{index}]"))).collect()
    }

    /// The fields of a table whose names the file chooses, such as grades: name, path and value of each.
    pub fn entries<'d>(&mut self, section: &Section<'d>) -> Vec<(&'d str, String, &'d Spanned<DeValue<'d>>)> {
        let entries = section.table.iter().map(|(key, value)| {
            let path = section.path_of(key.get_ref());
            self.lines.insert(path.clone(), self.line(&value.span()));
            (key.get_ref().as_ref(), path, value)
        });
        entries.collect()
    }

    /// Records every field of a section that was not read as an unknown field.
    pub fn finish(&mut self, section: Section<'_>) {
        for key in section.table.keys() {
            if !section.asked.contains(&key.get_ref().as_ref()) {
                let line = self.line(&key.span());
                let allowed = format!("only {}", section.asked.join(", "));
                self.problem_at(line, section.path_of(key.get_ref()), "an unknown field", &allowed);
            }
        }
    }

    /// Records a problem with a field, at the field's line if it was read, else at the line of the nearest table above it.
    pub fn problem(&mut self, path: &str, found: impl fmt::Display, allowed: impl fmt::Display) {
        let mut above = path;
        let line = loop {
            match (self.lines.get(above), above.rfind(['.', '['])) {
                (Some(line), _) => break *line,
                (None, Some(end)) => above = &above[..end],
                (None, None) => break 1,
            }
        };
        self.problem_at(line, path.to_owned(), &found.to_string(), &allowed.to_string());
    }

    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems, at most [`PROBLEMS_MAX`], in the order of their lines.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        self.problems
    }

    fn problem_at(&mut self, line: usize, field: String, found: &str, allowed: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { line, field, found: found.to_owned(), allowed: allowed.to_owned() });
        }
    }

    fn find<'d>(
        &mut self,
        section: &mut Section<'d>,
        name: &'static str,
    ) -> Option<(&'d Spanned<DeValue<'d>>, String)> {
        section.asked.push(name);
        let value = section.table.get(name)?;
        let path = section.path_of(name);
        self.lines.insert(path.clone(), self.line(&value.span()));
        Some((value, path))
    }

    /// What `convert` makes of a value. If that is `None`, a problem is recorded that shows the value as it is written.
    pub fn convert<'d, T>(
        &mut self,
        value: &'d Spanned<DeValue<'d>>,
        path: String,
        allowed: &str,
        convert: impl Fn(&DeValue<'d>) -> Option<T>,
    ) -> Option<T> {
        let converted = convert(value.get_ref());
        if converted.is_none() {
            let found: String = self.text.get(value.span()).unwrap_or("").chars().take(FOUND_SHOWN_MAX).collect();
            self.problem_at(self.line(&value.span()), path, &found, allowed);
        }
        converted
    }

    fn table<'d>(&mut self, value: &'d Spanned<DeValue<'d>>, path: String) -> Option<Section<'d>> {
        self.convert(value, path.clone(), "a table", |value| value.as_table().map(|_| ()))?;
        let line = self.line(&value.span());
        self.lines.insert(path.clone(), line);
        value.get_ref().as_table().map(|table| Section { table, path, line, asked: Vec::new() })
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.line_ends.partition_point(|end| *end < span.start) + 1
    }
}

impl<'d> Section<'d> {
    pub fn root(document: &'d Spanned<DeTable<'d>>) -> Section<'d> {
        Section { table: document.get_ref(), path: String::new(), line: 1, asked: Vec::new() }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_not_toml_is_told_with_its_line_and_the_reason() {
        for text in ["code = \"x\"\n= 1\n", "\n[[[\n", "a = 1\na = 2\n", "a = 1\nb = 2024-13-01\n"] {
            let mut reader = Reader::new(text);
            assert!(reader.parse().is_none());
            let told = reader.problems[0].to_string();
            assert!(
                told.starts_with("line 2: found what is not TOML (") && told.ends_with("), allowed: TOML"),
                "{told}"
            );
        }
    }
}
