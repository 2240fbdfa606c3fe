//! Where the clauses are that a record's classes find.

use super::classes::UNKNOWN;
use super::keys::{Key, MOST_GROUPS, NONE};
use super::state::State;

/// Where clauses are in their order, by what finds them.
#[derive(Debug, Default)]
pub(crate) struct Access {
    always: (u32, u32),
    singles: Vec<Single>,
    groups: Vec<Group>,
    /// The groups whose other values may be in several classes, by what these are on.
    shared: Vec<Shared>,
    /// The pairs of classes, in an open hash table at most a quarter full: the pair, and where its clauses are.
    slots: Vec<Slot>,
    slot_shift: u32,
    /// For each pair there is, one bit: most pairs of a record's classes are none, and this says so at once.
    bits: Vec<u64>,
    shift: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    pair: u64,
    from: u32,
    to: u32,
}

const FREE: Slot = Slot { pair: u64::MAX, from: 0, to: 0 };

/// The clauses that are found by one class of a dimension.
#[derive(Debug)]
struct Single {
    dimension: u16,
    multiple: bool,
    /// For each class, where its clauses begin, and at last where they all end.
    begin: Vec<u32>,
    end: u32,
}

/// The clauses that are found by a class each of two dimensions.
#[derive(Debug)]
struct Group {
    one: u16,
    other: u16,
    /// Whether a value of the other may be in several classes.
    multiple: bool,
    all: (u32, u32),
}

/// A dimension whose values may be in several classes, and for each class the groups that have it, as bits: a text is
/// in many classes, and most of them are in few groups.
#[derive(Debug)]
struct Shared {
    dimension: u16,
    of_class: Vec<u64>,
}

impl Access {
    /// Of sorted keys.
    pub(crate) fn new(keys: &[Key], classes: impl Fn(u16) -> u32, multiple: impl Fn(u16) -> bool) -> Access {
        let mut access = Access::default();
        let mut pairs: Vec<Slot> = Vec::new();
        let mut from = 0;
        while let Some(first) = keys.get(from) {
            let to = from + keys[from..].partition_point(|key| key.dimensions == first.dimensions);
            let within = &keys[from..to];
            let all = (at(from), at(to));
            match first.dimensions {
                (NONE, _) => access.always = all,
                (dimension, NONE) => {
                    let begin = |class| at(from + within.partition_point(|key| key.classes.0 < class));
                    let begin = (0..=classes(dimension)).map(begin).collect();
                    access.singles.push(Single { dimension, multiple: multiple(dimension), begin, end: all.1 });
                }
                (one, other) => {
                    let group = access.groups.len();
                    access.groups.push(Group { one, other, multiple: multiple(other), all });
                    if multiple(other) {
                        access.share(group, other, classes(other), within);
                    }
                    let mut start = 0;
                    for same in within.chunk_by(|a, b| a.classes == b.classes) {
                        let (first, end) = (at(from + start), at(from + start + same.len()));
                        start += same.len();
                        let key = same.first().map(|key| pair(group, key.classes.0, key.classes.1));
                        pairs.extend(key.map(|pair| Slot { pair, from: first, to: end }));
                    }
                }
            }
            from = to;
        }
        access.table(&pairs);
        access
    }

    fn share(&mut self, group: usize, dimension: u16, classes: u32, keys: &[Key]) {
        let place = self.shared.iter().position(|it| it.dimension == dimension).unwrap_or_else(|| {
            self.shared.push(Shared { dimension, of_class: vec![0; classes as usize] });
            self.shared.len() - 1
        });
        let Some(shared) = self.shared.get_mut(place) else { return };
        for key in keys {
            if let Some(groups) = shared.of_class.get_mut(key.classes.1 as usize) {
                *groups |= 1 << group;
            }
        }
    }

    fn table(&mut self, pairs: &[Slot]) {
        let words = (pairs.len() * 8).next_power_of_two().max(64) / 64;
        self.bits = vec![0; words];
        self.shift = 64 - (words * 64).trailing_zeros();
        let slots = (pairs.len() * 4).next_power_of_two().max(2);
        self.slots = vec![FREE; slots];
        self.slot_shift = 64 - slots.trailing_zeros();
        for pair in pairs {
            let bit = mixed(pair.pair) >> self.shift;
            if let Some(word) = self.bits.get_mut(place(bit / 64)) {
                *word |= 1 << (bit % 64);
            }
            let mut at = place(mixed(pair.pair) >> self.slot_shift);
            while self.slots[at].pair != FREE.pair {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = *pair;
        }
    }

    /// Calls with every stretch of clauses that a record may leave standing.
    pub(crate) fn find(&self, state: &State, mut found: impl FnMut(u32, u32)) {
        found(self.always.0, self.always.1);
        for single in &self.singles {
            let of = |class: u32| {
                let from = single.begin.get(class as usize).copied().unwrap_or(single.end);
                (from, single.begin.get(class as usize + 1).copied().unwrap_or(from))
            };
            match state.class(single.dimension) {
                // Nobody knows: none of them fails by this.
                None => found(single.begin.first().copied().unwrap_or(single.end), single.end),
                Some(_) if single.multiple => {
                    for class in state.classes(single.dimension).unwrap_or_default() {
                        let (from, to) = of(*class);
                        found(from, to);
                    }
                }
                Some(class) => {
                    let (from, to) = of(class);
                    found(from, to);
                }
            }
        }
        // First which pairs there may be, without a branch that could be guessed wrong, and then where they are.
        let mut hits = [0_u64; MOST_GROUPS];
        let mut count = 0;
        for (number, group) in self.groups.iter().enumerate() {
            let (one, other) = (state.number(group.one), state.number(group.other));
            if one == UNKNOWN || other == UNKNOWN {
                // Nobody knows: none of them fails by this.
                found(group.all.0, group.all.1);
            } else if !group.multiple {
                let key = pair(number, one, other);
                if let Some(hit) = hits.get_mut(count) {
                    *hit = key;
                }
                count += usize::from(self.may_have(key));
            }
        }
        for key in hits.iter().take(count) {
            self.find_pair(*key, &mut found);
        }
        for shared in &self.shared {
            for other in state.classes(shared.dimension).unwrap_or_default() {
                let mut groups = shared.of_class.get(*other as usize).copied().unwrap_or_default();
                while groups != 0 {
                    let number = groups.trailing_zeros() as usize;
                    groups &= groups - 1;
                    let one = self.groups.get(number).map_or(UNKNOWN, |group| state.number(group.one));
                    let key = pair(number, one, *other);
                    if one != UNKNOWN && self.may_have(key) {
                        self.find_pair(key, &mut found);
                    }
                }
            }
        }
    }

    #[inline]
    fn may_have(&self, key: u64) -> bool {
        let bit = mixed(key) >> self.shift;
        self.bits.get(place(bit / 64)).copied().unwrap_or_default() >> (bit % 64) & 1 == 1
    }

    #[inline]
    fn find_pair(&self, key: u64, found: &mut impl FnMut(u32, u32)) {
        let mut at = place(mixed(key) >> self.slot_shift);
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.pair != FREE.pair) {
            if slot.pair == key {
                return found(slot.from, slot.to);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

/// A pair of classes as a number. There are fewer than 2^29 classes of a dimension: each is named in some criterion.
fn pair(group: usize, one: u32, other: u32) -> u64 {
    (group as u64) << 58 | u64::from(one) << 29 | u64::from(other)
}

fn mixed(key: u64) -> u64 {
    (key ^ key >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn place(bit: u64) -> usize {
    usize::try_from(bit).unwrap_or(usize::MAX)
}

fn at(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
