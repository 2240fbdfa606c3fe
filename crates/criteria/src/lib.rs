//! The one criterion language of the suite: fields, operators and values; groups of them; and rules that act on what
//! they find.
//!
//! The crate is pure. It reads no clock, no file and no network, and the same input always gives the same answer, so
//! whoever logs a ticket, previews a rule, explains a past decision or simulates a change calls the same functions and
//! only the caller commits.
//!
//! # Use
//!
//! A caller names its fields in a [`Schema`], fills a [`Record`] with what it knows, and asks:
//!
//! ```
//! use concierge_criteria::{Criterion, Definition, FieldType, Operator, Record, Schema, Truth, compile, eval};
//!
//! let schema = Schema::new([("user.important", FieldType::Flag), ("ticket.summary", FieldType::Text)])?;
//! let definition = Definition::any([
//!     Criterion::new("user.important", Operator::Is, [true]).into(),
//!     Criterion::new("ticket.summary", Operator::Contains, ["board room"]).into(),
//! ]);
//! let compiled = compile(&schema, &definition).map_err(|problems| problems[0].clone())?;
//!
//! // A new record knows nothing: nobody can tell yet.
//! let mut record = Record::new(&schema);
//! assert_eq!(eval(&compiled, &record), Truth::Unknown);
//!
//! // One fact is enough here: ANY holds as soon as one item does.
//! let summary = schema.field("ticket.summary").expect("named above");
//! record.set(summary, "Projector in the Board Room is dark")?;
//! assert_eq!(eval(&compiled, &record), Truth::True);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`explain`] answers the same question with every value it saw; [`walk`] runs a [`RuleSet`] over a record, one
//! rule after the other; a [`RuleIndex`] does the same for many rules at what those cost that match.
//!
//! # Three answers
//!
//! A field is known to hold a value, known to be empty, or UNKNOWN: a fact that nobody could be asked for. A criterion
//! on an UNKNOWN field neither holds nor fails, and NOT does not change that. Groups follow Kleene's strong logic: ALL
//! is false as soon as one item is false, ANY is true as soon as one item is true, and otherwise an UNKNOWN item leaves
//! the group UNKNOWN.
//!
//! On a field known to be empty a negative operator holds and a positive one does not. An empty text and an empty set
//! are the same as no value.
//!
//! # Every operator
//!
//! This table is read by a test and checked against the code.
//!
//! | Type           | Operator         | Values | On empty | On UNKNOWN | Holds when                                        |
//! |----------------|------------------|--------|----------|------------|---------------------------------------------------|
//! | ID, CHOICE     | IS               | 1      | false    | UNKNOWN    | it is the value                                   |
//! | ID, CHOICE     | IS_NOT           | 1      | true     | UNKNOWN    | it is not the value                               |
//! | ID, CHOICE     | ANY_OF           | 1+     | false    | UNKNOWN    | it is one of the values                           |
//! | ID, CHOICE     | NONE_OF          | 1+     | true     | UNKNOWN    | it is none of the values                          |
//! | ID, CHOICE     | HAS_VALUE        | 0      | false    | UNKNOWN    | it has a value                                    |
//! | ID, CHOICE     | HAS_NO_VALUE     | 0      | true     | UNKNOWN    | it has none                                       |
//! | ID, CHOICE     | CHANGED          | 0      | false    | UNKNOWN    | the update changed it                             |
//! | ID, CHOICE     | CHANGED_FROM     | 1      | false    | UNKNOWN    | the update changed it, and it was the value       |
//! | ID, CHOICE     | CHANGED_TO       | 1      | false    | UNKNOWN    | the update changed it, and it is the value        |
//! | ID_SET, TEXT_SET | EQUALS         | 1+     | false    | UNKNOWN    | it is the same set, whatever the order            |
//! | ID_SET, TEXT_SET | INCLUDES       | 1+     | false    | UNKNOWN    | it shares one or more with the values             |
//! | ID_SET, TEXT_SET | INCLUDES_ALL   | 1+     | false    | UNKNOWN    | every one of the values is in it                  |
//! | ID_SET, TEXT_SET | DOES_NOT_INCLUDE | 1+   | true     | UNKNOWN    | it shares none with the values                    |
//! | ID_SET, TEXT_SET | HAS_VALUE      | 0      | false    | UNKNOWN    | it has a member                                   |
//! | ID_SET, TEXT_SET | HAS_NO_VALUE   | 0      | true     | UNKNOWN    | it has none                                       |
//! | ID_SET, TEXT_SET | CHANGED        | 0      | false    | UNKNOWN    | the update changed it                             |
//! | TEXT           | IS               | 1      | false    | UNKNOWN    | it is the value                                   |
//! | TEXT           | IS_NOT           | 1      | true     | UNKNOWN    | it is not the value                               |
//! | TEXT           | ANY_OF           | 1+     | false    | UNKNOWN    | it is one of the values                           |
//! | TEXT           | NONE_OF          | 1+     | true     | UNKNOWN    | it is none of the values                          |
//! | TEXT           | CONTAINS         | 1      | false    | UNKNOWN    | the value occurs in it                            |
//! | TEXT           | DOES_NOT_CONTAIN | 1      | true     | UNKNOWN    | the value does not occur in it                    |
//! | TEXT           | STARTS_WITH      | 1      | false    | UNKNOWN    | it starts with the value                          |
//! | TEXT           | ENDS_WITH        | 1      | false    | UNKNOWN    | it ends with the value                            |
//! | TEXT           | HAS_VALUE        | 0      | false    | UNKNOWN    | it has a character, be it a space                 |
//! | TEXT           | HAS_NO_VALUE     | 0      | true     | UNKNOWN    | it has none                                       |
//! | TEXT           | MATCHES          | 1      | false    | UNKNOWN    | the value, a regular expression, matches in it    |
//! | TEXT           | CHANGED          | 0      | false    | UNKNOWN    | the update changed it, be it only in case         |
//! | TEXT           | CHANGED_FROM     | 1      | false    | UNKNOWN    | the update changed it, and it was the value       |
//! | TEXT           | CHANGED_TO       | 1      | false    | UNKNOWN    | the update changed it, and it is the value        |
//! | NUMBER, TIME   | IS               | 1      | false    | UNKNOWN    | it is the value                                   |
//! | NUMBER, TIME   | IS_NOT           | 1      | true     | UNKNOWN    | it is not the value                               |
//! | NUMBER, TIME   | LESS        | 1      | false    | UNKNOWN    | it is below (before) the value                    |
//! | NUMBER, TIME   | LESS_OR_EQUAL          | 1      | false    | UNKNOWN    | it is the value or below                          |
//! | NUMBER, TIME   | GREATER     | 1      | false    | UNKNOWN    | it is above (after) the value                     |
//! | NUMBER, TIME   | GREATER_OR_EQUAL         | 1      | false    | UNKNOWN    | it is the value or above                          |
//! | NUMBER, TIME   | BETWEEN          | 2      | false    | UNKNOWN    | it is the first, the second, or between them      |
//! | NUMBER, TIME   | HAS_VALUE        | 0      | false    | UNKNOWN    | it has a value                                    |
//! | NUMBER, TIME   | HAS_NO_VALUE     | 0      | true     | UNKNOWN    | it has none                                       |
//! | NUMBER, TIME   | CHANGED          | 0      | false    | UNKNOWN    | the update changed it                             |
//! | NUMBER, TIME   | CHANGED_FROM     | 1      | false    | UNKNOWN    | the update changed it, and it was the value       |
//! | NUMBER, TIME   | CHANGED_TO       | 1      | false    | UNKNOWN    | the update changed it, and it is the value        |
//! | TIME           | WITHIN_LAST      | 1      | false    | UNKNOWN    | it is now, or so many seconds ago or fewer        |
//! | TIME           | WITHIN_NEXT      | 1      | false    | UNKNOWN    | it is now, or so many seconds off or fewer        |
//! | TIME           | WITHIN_HOURS     | 1      | false    | UNKNOWN    | it is within the hours of the calendar            |
//! | TIME           | OUTSIDE_HOURS    | 1      | false    | UNKNOWN    | it is a time outside the hours of the calendar    |
//! | FLAG           | IS               | 1      | false    | UNKNOWN    | it is the value; empty is neither true nor false  |
//! | FLAG           | CHANGED          | 0      | false    | UNKNOWN    | the update changed it                             |
//! | FLAG           | CHANGED_FROM     | 1      | false    | UNKNOWN    | the update changed it, and it was the value       |
//! | FLAG           | CHANGED_TO       | 1      | false    | UNKNOWN    | the update changed it, and it is the value        |
//!
//! CHANGED and its like compare with [what was known before](Record::set_before) an update; a rule that ran earlier is
//! part of the update. Where nothing was before, as for something new, they fail, and so the table has it; else a field
//! that was emptied or filled has changed too. Where it is UNKNOWN what was before, so are they, unless CHANGED_TO asks
//! for another value. WITHIN_LAST and WITHIN_NEXT are UNKNOWN for a record that was not told [the
//! time](Record::set_now), WITHIN_HOURS and OUTSIDE_HOURS for one that was not told [the hours](Record::set_hours) of
//! the calendar, whose id is the value. MATCHES takes a pattern of the [regex crate](https://docs.rs/regex/#syntax), which takes time in
//! proportion to the text; how long, how large and how many patterns may be is bounded ([`MAX_PATTERN_LENGTH`],
//! [`MAX_PATTERN_SIZE`], [`MAX_PATTERNS`]).
//!
//! # Case
//!
//! The operators of TEXT ignore case unless a criterion minds it. Ignoring case maps each character through Unicode's
//! simple folding on both sides and compares the results; a pattern without case does the same. The members of a
//! TEXT_SET and the names of a CHOICE are always compared exactly. This table is read by a test:
//!
//! | One     | Other   | Same | Why                                                                  |
//! |---------|---------|------|----------------------------------------------------------------------|
//! | `Ä`     | `ä`     | yes  | a capital letter and its small one                                   |
//! | `Σ`     | `ς`     | yes  | a final sigma is a sigma                                             |
//! | `ẞ`     | `ß`     | yes  | a capital sharp s is a sharp s                                       |
//! | `ſ`     | `s`     | yes  | a long s is an s                                                     |
//! | `K`     | `k`     | yes  | the sign for kelvin is a k                                           |
//! | `Ω`     | `ω`     | yes  | the sign for ohm is an omega                                         |
//! | `ß`     | `ss`    | no   | one character never becomes two                                      |
//! | `ﬁ`     | `fi`    | no   | nor does a ligature                                                  |
//! | `İ`     | `i`     | no   | a dotted capital i is a letter of its own                            |
//! | `ı`     | `i`     | no   | and so is a dotless small one                                        |
//! | `é`     | `é`    | no   | a letter with a combining accent is not the composed letter          |
//! | `é`     | `e`     | no   | nor the letter without                                               |

mod compile;
mod definition;
mod eval;
mod explain;
mod fold;
mod index;
pub mod lint;
mod operator;
mod pattern;
mod predicate;
mod problem;
mod record;
mod rule;
mod schema;
mod truth;
mod value;
mod walk;

pub use compile::{Compiled, MAX_CRITERIA, MAX_DEPTH, MAX_VALUES, compile};
pub use definition::{Criterion, Definition, GroupKind};
pub use eval::eval;
pub use explain::{SeenCriterion, Trace, TraceNode, explain};
pub use index::{Matched, Ran, RuleIndex, Scratch};
pub use operator::{Arity, Operator};
pub use pattern::{MAX_PATTERN_LENGTH, MAX_PATTERN_SIZE, MAX_PATTERNS};
pub use problem::{Problem, ProblemKind};
pub use record::{Fact, Hours, Record, SetError};
pub use rule::{Action, AppliesTo, OutcomeDefinition, Rule, RuleDefinition, RuleSet, compile_rule};
pub use schema::{Field, FieldId, FieldSet, FieldType, Schema, SchemaError};
pub use truth::Truth;
pub use value::{IdSet, Set, TextSet, Value};
pub use walk::{
    Change, Match, NotConsidered, Occasion, Outcome, RuleVerdict, Undecided, Verdict, walk, walk_explained,
};
