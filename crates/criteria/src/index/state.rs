//! A record in the eyes of an index: the classes of its values.

use super::check::bit;
use super::classes::UNKNOWN;
use super::clause::Dimensions;
use super::dimension::Dimension;
use crate::record::Record;
use crate::schema::FieldSet;

/// What is seen of one dimension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// The class, or UNKNOWN.
    pub(crate) class: u32,
    /// The bits of the class, or of all of several; every bit if nobody knows.
    pub(crate) mask: u64,
}

/// What is seen of a dimension that is not there.
const NOTHING: Seen = Seen { class: UNKNOWN, mask: u64::MAX };

/// The classes of a record's values, dimension by dimension. Its space is used again for the next record.
#[derive(Debug, Default)]
pub(crate) struct State {
    seen: Vec<Seen>,
    /// For a dimension whose values are in several classes: where in the list they are.
    places: Vec<(u32, u32)>,
    list: Vec<u32>,
    buffer: String,
    unknown: usize,
}

impl State {
    /// Reads a whole record.
    pub(crate) fn read(&mut self, dimensions: &Dimensions, record: &Record) {
        self.places.clear();
        self.seen.clear();
        self.list.clear();
        self.unknown = 0;
        for dimension in &dimensions.list {
            let from = self.list.len();
            let class = dimension.read(record, &mut self.buffer, &mut self.list);
            self.unknown += usize::from(class == UNKNOWN);
            let mask = mask(dimension, class, self.list.get(from..).unwrap_or_default());
            self.seen.push(Seen { class, mask });
            self.places.push((at(from), at(self.list.len())));
        }
    }

    /// Reads fields that changed again.
    pub(crate) fn read_again(&mut self, dimensions: &Dimensions, record: &Record, changed: &FieldSet) {
        for (place, dimension) in dimensions.list.iter().enumerate() {
            if !changed.contains(dimension.field) {
                continue;
            }
            let (Some(known), Some(known_places)) = (self.seen.get_mut(place), self.places.get_mut(place)) else {
                continue;
            };
            self.unknown -= usize::from(known.class == UNKNOWN);
            let from = self.list.len();
            let class = dimension.read(record, &mut self.buffer, &mut self.list);
            self.unknown += usize::from(class == UNKNOWN);
            let mask = mask(dimension, class, self.list.get(from..).unwrap_or_default());
            *known = Seen { class, mask };
            *known_places = (at(from), at(self.list.len()));
        }
    }

    /// Whether every value is known.
    pub(crate) fn knows_all(&self) -> bool {
        self.unknown == 0
    }

    /// The class of a dimension, or UNKNOWN.
    #[inline]
    pub(crate) fn number(&self, dimension: u16) -> u32 {
        self.seen(dimension).class
    }

    /// What is seen of a dimension.
    #[inline]
    pub(crate) fn seen(&self, dimension: u16) -> Seen {
        self.seen.get(usize::from(dimension)).copied().unwrap_or(NOTHING)
    }

    /// The class of a dimension; none if nobody knows the value.
    pub(crate) fn class(&self, dimension: u16) -> Option<u32> {
        Some(self.number(dimension)).filter(|class| *class != UNKNOWN)
    }

    /// The classes of a dimension whose values are in several; none if nobody knows the value.
    pub(crate) fn classes(&self, dimension: u16) -> Option<&[u32]> {
        self.class(dimension)?;
        let (from, to) = self.places.get(usize::from(dimension))?;
        self.list.get(*from as usize..*to as usize)
    }
}

fn mask(dimension: &Dimension, class: u32, classes: &[u32]) -> u64 {
    match class {
        UNKNOWN => u64::MAX,
        _ if dimension.is_multiple() => classes.iter().fold(0, |mask, class| mask | bit(*class)),
        class => bit(class),
    }
}

fn at(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
