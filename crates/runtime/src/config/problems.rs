//! What is wrong with the settings, all of it.

use super::settings;

/// A setting that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its name, or the file's.
    pub setting: String,
    /// What is wrong: goes on after the name.
    pub what: String,
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// One by one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.problems.len() {
            1 => f.write_str("a setting is wrong:")?,
            many => write!(f, "{many} settings are wrong:")?,
        }
        for Problem { setting, what } in &self.problems {
            write!(f, "\n  {setting}")?;
            if settings::find(setting).is_some() {
                write!(f, " ({})", settings::variable(setting))?;
            }
            write!(f, " {what}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
