//! The grammar of filters, after AIP-160: OR binds tighter than AND, and what stands side by side is joined by AND.
//!
//! ```text
//! filter     = [ all ]
//! all        = any { [ "AND" ] any }
//! any        = term { "OR" term }
//! term       = ( "NOT" | "-" ) term | "(" all ")" | comparison
//! comparison = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) value
//! ```

use super::filter::{FilterError, FilterProblem, MOST_COMPARISONS, MOST_DEPTH, Operator};
use super::filter_lex::{Lexer, Literal};

/// A filter before its names and values are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    /// An index into [`Parsed::comparisons`].
    Comparison(usize),
}

/// One comparison as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) position: usize,
    pub(super) field: String,
    pub(super) operator: Operator,
    pub(super) operator_position: usize,
    pub(super) value: Literal,
}

/// What could be read of a filter.
pub(super) struct Parsed {
    /// `None` for a filter that lets everything through.
    pub(super) tree: Result<Option<Tree>, FilterError>,
    /// The comparisons before the error, so that what is wrong with them is told too.
    pub(super) comparisons: Vec<Comparison>,
}

pub(super) fn parse(text: &str) -> Parsed {
    let mut parser = Parser { lexer: Lexer::new(text), comparisons: Vec::new() };
    let tree = parser.filter();
    Parsed { tree, comparisons: parser.comparisons }
}

struct Parser {
    lexer: Lexer,
    comparisons: Vec<Comparison>,
}

impl Parser {
    fn filter(&mut self) -> Result<Option<Tree>, FilterError> {
        self.lexer.skip_space();
        if self.lexer.peek().is_none() {
            return Ok(None);
        }
        let tree = self.all(0)?;
        match self.lexer.peek() {
            None => Ok(Some(tree)),
            Some(_) => Err(self.lexer.expected("AND, OR or the end; no ( is open here")),
        }
    }

    fn all(&mut self, depth: usize) -> Result<Tree, FilterError> {
        let mut parts = vec![self.any(depth)?];
        while !matches!(self.lexer.peek(), None | Some(')')) {
            if self.lexer.take_keyword("AND") {
                self.lexer.skip_space();
            }
            parts.push(self.any(depth)?);
        }
        Ok(join(parts, Tree::All))
    }

    fn any(&mut self, depth: usize) -> Result<Tree, FilterError> {
        let mut parts = vec![self.term(depth)?];
        while self.lexer.take_keyword("OR") {
            self.lexer.skip_space();
            parts.push(self.term(depth)?);
        }
        Ok(join(parts, Tree::Any))
    }

    /// Reads a term and the space behind it.
    fn term(&mut self, depth: usize) -> Result<Tree, FilterError> {
        if depth > MOST_DEPTH {
            return Err(self.lexer.error(FilterProblem::TooDeep));
        }
        let tree = if self.lexer.take_keyword("NOT") || self.lexer.take("-") {
            self.lexer.skip_space();
            Tree::Not(Box::new(self.term(depth + 1)?))
        } else if self.lexer.take("(") {
            self.lexer.skip_space();
            let tree = self.all(depth + 1)?;
            if !self.lexer.take(")") {
                return Err(self.lexer.expected("AND, OR or )"));
            }
            tree
        } else {
            self.comparison()?
        };
        self.lexer.skip_space();
        Ok(tree)
    }

    fn comparison(&mut self) -> Result<Tree, FilterError> {
        let position = self.lexer.position();
        let field = self.lexer.peek_word();
        if field.is_empty() || matches!(field.as_str(), "AND" | "OR" | "NOT") {
            return Err(self.lexer.expected("a field, NOT, - or ("));
        }
        if self.comparisons.len() == MOST_COMPARISONS {
            return Err(self.lexer.error(FilterProblem::TooMany));
        }
        self.lexer.take(&field);
        self.lexer.skip_space();
        let operator_position = self.lexer.position();
        let Some(operator) = Operator::ALL.into_iter().find(|operator| self.lexer.take(operator.symbol())) else {
            let lower = matches!(field.to_uppercase().as_str(), "AND" | "OR" | "NOT");
            return Err(if lower {
                let expected = "a field, NOT, - or (; AND, OR and NOT are written in capitals";
                FilterError { position, problem: FilterProblem::Expected { expected, found: field } }
            } else {
                self.lexer.expected("one of = != < <= > >= : after the field")
            });
        };
        self.lexer.skip_space();
        let value = self.lexer.literal()?;
        self.comparisons.push(Comparison { position, field, operator, operator_position, value });
        Ok(Tree::Comparison(self.comparisons.len() - 1))
    }
}

fn join(mut parts: Vec<Tree>, node: fn(Vec<Tree>) -> Tree) -> Tree {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            node(parts)
        }
    }
}
