//! The fields a criterion may name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// The id of a record.
    Id,
    /// A set of ids.
    IdSet,
    /// One name out of a list that the schema gives.
    Choice,
    /// A text.
    Text,
    /// A set of texts, such as tags.
    TextSet,
    /// A whole number.
    Number,
    /// True or false.
    Flag,
    /// A point in time.
    Time,
}

impl FieldType {
    /// Every type.
    pub const ALL: [FieldType; 8] = [
        FieldType::Id,
        FieldType::IdSet,
        FieldType::Choice,
        FieldType::Text,
        FieldType::TextSet,
        FieldType::Number,
        FieldType::Flag,
        FieldType::Time,
    ];

    /// What one member of it is: for a set its members' type, for anything else the type itself.
    #[must_use]
    pub fn element(self) -> FieldType {
        match self {
            FieldType::IdSet => FieldType::Id,
            FieldType::TextSet => FieldType::Text,
            other => other,
        }
    }

    /// Its name in capitals, as in the table of operators.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Id => "ID",
            FieldType::IdSet => "ID_SET",
            FieldType::Choice => "CHOICE",
            FieldType::Text => "TEXT",
            FieldType::TextSet => "TEXT_SET",
            FieldType::Number => "NUMBER",
            FieldType::Flag => "FLAG",
            FieldType::Time => "TIME",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The place of a field in its schema: dense, from 0, in the order the fields were given. It means nothing in another
/// schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(u16);

impl FieldId {
    /// The place as an index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A field: its name and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its place.
    pub id: FieldId,
    /// Its name, such as `user.important`.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: FieldType,
    /// For a choice, and for a set of texts that are chosen: the names to choose from. Where none are given, any will do.
    pub choices: Arc<[Arc<str>]>,
}

/// Why a schema cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A field has no name.
    #[error("a field needs a name")]
    NoName,
    /// Two fields have one name.
    #[error("the field `{0}` is given twice")]
    GivenTwice(String),
    /// Choices were given for a field that is not there or chooses nothing.
    #[error("there is no field `{0}` of type CHOICE or TEXT_SET")]
    NoChoice(String),
    /// More fields than an index can tell apart.
    #[error("a schema has at most 65,535 fields")]
    TooManyFields,
}

/// The fields that criteria and rules may name. Cheap to clone. Which of them an outcome may set is the caller's
/// business.
#[derive(Debug, Clone)]
pub struct Schema(Arc<Fields>);

#[derive(Debug, Clone)]
struct Fields {
    fields: Vec<Field>,
    by_name: HashMap<Arc<str>, FieldId>,
}

impl Schema {
    /// A schema of the given fields, in that order.
    ///
    /// # Errors
    ///
    /// When a name is empty or given twice, or there are too many fields.
    pub fn new<N: AsRef<str>>(fields: impl IntoIterator<Item = (N, FieldType)>) -> Result<Schema, SchemaError> {
        let mut made = Fields { fields: Vec::new(), by_name: HashMap::new() };
        for (name, kind) in fields {
            let name: Arc<str> = Arc::from(name.as_ref());
            if name.is_empty() {
                return Err(SchemaError::NoName);
            }
            let index = u16::try_from(made.fields.len()).map_err(|_| SchemaError::TooManyFields)?;
            if index == u16::MAX {
                return Err(SchemaError::TooManyFields);
            }
            let id = FieldId(index);
            if made.by_name.insert(name.clone(), id).is_some() {
                return Err(SchemaError::GivenTwice(name.to_string()));
            }
            made.fields.push(Field { id, name, kind, choices: Arc::default() });
        }
        Ok(Schema(Arc::new(made)))
    }

    /// The same schema, with the names that a field of type CHOICE or TEXT_SET chooses from.
    ///
    /// # Errors
    ///
    /// When there is no such field, or it is of another type.
    pub fn with_choices<'a>(
        self,
        name: &str,
        choices: impl IntoIterator<Item = &'a str>,
    ) -> Result<Schema, SchemaError> {
        let mut made = Arc::unwrap_or_clone(self.0);
        match made
            .fields
            .iter_mut()
            .find(|field| *field.name == *name && matches!(field.kind, FieldType::Choice | FieldType::TextSet))
        {
            Some(field) => field.choices = choices.into_iter().map(Arc::from).collect(),
            None => return Err(SchemaError::NoChoice(name.to_owned())),
        }
        Ok(Schema(Arc::new(made)))
    }

    /// The place of the field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<FieldId> {
        self.0.by_name.get(name).copied()
    }

    /// The field at this place; none if the place is of another, larger schema.
    #[must_use]
    pub fn get(&self, id: FieldId) -> Option<&Field> {
        self.0.fields.get(id.index())
    }

    /// All fields, in order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    /// The names of the given fields, in order.
    pub fn names<'a>(&'a self, fields: &'a FieldSet) -> impl Iterator<Item = &'a str> {
        fields.iter().filter_map(|id| self.get(id)).map(|field| &*field.name)
    }
}

/// A set of fields of one schema, as bits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(Vec<u64>);

impl FieldSet {
    /// No fields.
    #[must_use]
    pub fn new() -> FieldSet {
        FieldSet::default()
    }

    /// Adds a field.
    pub fn insert(&mut self, field: FieldId) {
        let word = field.index() / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (field.index() % 64);
    }

    /// Whether the field is in it.
    #[must_use]
    pub fn contains(&self, field: FieldId) -> bool {
        self.0.get(field.index() / 64).is_some_and(|word| word & (1 << (field.index() % 64)) != 0)
    }

    /// Whether the two share a field.
    #[must_use]
    pub fn intersects(&self, other: &FieldSet) -> bool {
        self.0.iter().zip(&other.0).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Takes all fields out.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldId> {
        (0..=u16::MAX).take(self.0.len() * 64).map(FieldId).filter(|field| self.contains(*field))
    }
}

impl Extend<FieldId> for FieldSet {
    fn extend<I: IntoIterator<Item = FieldId>>(&mut self, fields: I) {
        for field in fields {
            self.insert(field);
        }
    }
}

impl FromIterator<FieldId> for FieldSet {
    fn from_iter<I: IntoIterator<Item = FieldId>>(fields: I) -> FieldSet {
        let mut set = FieldSet::new();
        set.extend(fields);
        set
    }
}
