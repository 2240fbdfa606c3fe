//! The statements of SearchUsers. Every value is bound.

use concierge_model::search::Query;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::batch::columns;
use crate::search::{Search, Tier, anywhere, own_names};

/// Where a result stands among all.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) tier: i32,
    /// 0 for an important user, unless the caller may not know.
    pub(super) rank: i16,
    pub(super) names: String,
    pub(super) id: Uuid,
}

/// What a statement is made from.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) query: &'a Query,
    pub(super) search: &'a Search,
    pub(super) after: Option<&'a Position>,
}

/// The list in `user_names` to look into, and whether everybody in it fits.
struct List {
    term: String,
    is_exact: bool,
}

/// So many rows of a list are looked at; what lies deeper is found by words.
const DEEP: i64 = 2_000;
/// The same, where a filter makes each row dearer.
const DEEP_FILTERED: i64 = 500;

/// The letters a word begins with.
fn first(word: &str, letters: usize) -> String {
    word.chars().take(letters).collect()
}

fn length(word: &str) -> usize {
    word.chars().count()
}

/// As migration `create_user_search` lists them: by one to five letters of a word, or by one or three of each two.
fn list(query: &Query) -> List {
    let mut words: Vec<&str> = query.words.iter().map(String::as_str).collect();
    words.sort_by_key(|word| std::cmp::Reverse(length(word)));
    match words.as_slice() {
        [] => List { term: String::new(), is_exact: true },
        [one] => List { term: first(one, 5), is_exact: length(one) <= 5 },
        [one, two, rest @ ..] => {
            let letters = if length(two) >= 3 { 3 } else { 1 };
            let mut pair = [first(one, letters), first(two, letters)];
            pair.sort_unstable();
            let is_exact = rest.is_empty() && length(one) == letters && length(two) == letters;
            List { term: pair.join(" "), is_exact }
        }
    }
}

impl Statement<'_> {
    /// True when the lists hold exactly the users whose names fit.
    pub(super) fn lists_are_exact(&self) -> bool {
        self.search.filter.is_none() && list(self.query).is_exact
    }

    /// Users of just this name, and users whose names fit, as far as the lists tell.
    pub(super) fn listed_names(&self) -> Option<QueryBuilder<Postgres>> {
        let list = list(self.query);
        self.make(&[Tier::Name, Tier::Names], |sql, tier, rank| {
            if tier == Tier::Name {
                self.push_just_this_name(sql, rank);
            } else {
                self.push_list(sql, &list, rank);
            }
        })
    }

    /// Whether a list that should have been read before one of these results goes deeper than was looked: then its
    /// results may be missing. `None` when the results all come from the list that is read first.
    pub(super) fn missed(&self, found: impl IntoIterator<Item = (i32, i16)>) -> Option<QueryBuilder<Postgres>> {
        let names = Tier::Names as i32;
        let first = self.after.filter(|after| after.tier == names && self.search.sees_importance).map_or(0, |a| a.rank);
        let ranks: &[i16] = if self.search.sees_importance {
            let later = found.into_iter().any(|(tier, rank)| tier == names && rank > first);
            if later { &[0] } else { &[] }
        } else {
            // Both lists are merged by name.
            &[0, 1]
        };
        let term = list(self.query).term;
        let mut sql = QueryBuilder::<Postgres>::new("select ");
        for (index, &rank) in ranks.iter().enumerate() {
            sql.push(if index > 0 { " or " } else { "" });
            sql.push("exists (select from user_names n where n.term = ").push_bind(term.clone());
            sql.push(" and n.rank = ").push_bind(rank);
            self.push_after(&mut sql, Tier::Names, rank, "n");
            sql.push(" offset ").push_bind(self.depth() - 1).push(")");
        }
        (!ranks.is_empty()).then_some(sql)
    }

    /// How many rows of a list are looked at.
    fn depth(&self) -> i64 {
        if self.search.filter.is_some() { DEEP_FILTERED } else { DEEP }
    }

    /// Users whose names fit, found by words. Ordered afterwards: names and words go together, so that to walk through
    /// all names until words fit could take for ever.
    pub(super) fn other_names(&self) -> Option<QueryBuilder<Postgres>> {
        self.make(&[Tier::Names], |sql, tier, rank| {
            sql.push("with fitting as materialized (select s.rank, s.names, s.user_id from user_search s ");
            sql.push("where s.words @@ ").push_bind(own_names(self.query)).push("::tsquery and s.names <> ");
            sql.push_bind(self.query.names.clone()).push(" and s.rank = ").push_bind(rank);
            self.push_after(sql, tier, rank, "s");
            self.push_filter(sql, "s");
            sql.push(") select * from fitting order by names, user_id");
        })
    }

    /// Users who fit otherwise than by their names.
    pub(super) fn anything(&self) -> Option<QueryBuilder<Postgres>> {
        self.make(&[Tier::Anything], |sql, tier, rank| {
            sql.push("select s.rank, s.names, s.user_id from user_search s where s.words @@ ");
            sql.push_bind(anywhere(self.query)).push("::tsquery and not s.words @@ ");
            sql.push_bind(own_names(self.query)).push("::tsquery and s.rank = ").push_bind(rank);
            self.push_after(sql, tier, rank, "s");
            self.push_filter(sql, "s");
            sql.push(" order by s.names, s.user_id");
        })
    }

    fn push_just_this_name(&self, sql: &mut QueryBuilder<Postgres>, rank: i16) {
        sql.push("select s.rank, s.names, s.user_id from user_search s where s.rank = ").push_bind(rank);
        sql.push(" and s.names = ").push_bind(self.query.names.clone());
        self.push_after(sql, Tier::Name, rank, "s");
        self.push_filter(sql, "s");
        sql.push(" order by s.names, s.user_id");
    }

    fn push_list(&self, sql: &mut QueryBuilder<Postgres>, list: &List, rank: i16) {
        sql.push("select l.rank, l.names, l.user_id from (select n.rank, n.names, n.user_id from user_names n ");
        sql.push("where n.term = ").push_bind(list.term.clone()).push(" and n.rank = ").push_bind(rank);
        self.push_after(sql, Tier::Names, rank, "n");
        sql.push(" order by n.names, n.user_id");
        let is_exact = list.is_exact && self.search.filter.is_none();
        if !is_exact {
            sql.push(" limit ").push_bind(self.depth());
        }
        sql.push(") l where l.names <> ").push_bind(self.query.names.clone());
        if !list.is_exact {
            for word in &self.query.words {
                // Words are letters and digits: none means anything in a pattern.
                sql.push(" and ' ' || l.names like ").push_bind(format!("% {word}%"));
            }
        }
        self.push_filter(sql, "l");
        sql.push(" order by l.names, l.user_id");
    }

    /// Puts one statement together: for each tier first the important users, then the others; both by name together for
    /// callers who may not know. `None` when all of it lies before the page.
    fn make(
        &self,
        tiers: &[Tier],
        push: impl Fn(&mut QueryBuilder<Postgres>, Tier, i16),
    ) -> Option<QueryBuilder<Postgres>> {
        let limit = i64::from(self.search.limit) + 1;
        let mut sql = QueryBuilder::<Postgres>::new("select ");
        sql.push(columns())
            .push(", f.tier, f.rank, f.names, s.name, c.name, u.active and s.active and c.active from (");
        let mut parts = 0;
        for &tier in tiers {
            for rank in [0, 1] {
                let number = tier as i32;
                let is_before = self.after.is_some_and(|after| {
                    number < after.tier || (self.search.sees_importance && number == after.tier && rank < after.rank)
                });
                if is_before {
                    continue;
                }
                sql.push(if parts > 0 { " union all " } else { "" });
                sql.push(format_args!("(select {number} as tier, p.* from ("));
                push(&mut sql, tier, rank);
                sql.push(" limit ").push_bind(limit).push(") p)");
                parts += 1;
            }
        }
        let order = if self.search.sees_importance { "tier, rank, names, user_id" } else { "tier, names, user_id" };
        sql.push(format_args!(" order by {order} limit ")).push_bind(limit);
        sql.push(") f join users u on u.id = f.user_id join sites s on s.id = u.site_id ");
        let order = order.replace(", ", ", f.");
        sql.push(format_args!("join customers c on c.id = u.customer_id order by f.{order}"));
        (parts > 0).then_some(sql)
    }

    /// Goes on after the last result of the page before.
    fn push_after(&self, sql: &mut QueryBuilder<Postgres>, tier: Tier, rank: i16, table: &str) {
        let Some(after) = self.after else { return };
        if after.tier == tier as i32 && (after.rank == rank || !self.search.sees_importance) {
            sql.push(format_args!(" and ({table}.names, {table}.user_id) > (")).push_bind(after.names.clone());
            sql.push(", ").push_bind(after.id).push(")");
        }
    }

    /// What results must pass as well: a condition on the user's own columns.
    fn push_filter(&self, sql: &mut QueryBuilder<Postgres>, table: &str) {
        if let Some(filter) = &self.search.filter {
            sql.push(format_args!(" and exists (select from users where users.id = {table}.user_id and "));
            filter.push(sql);
            sql.push(")");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(query: &str) -> (String, bool) {
        let list = list(&Query::parse(query).unwrap());
        (list.term, list.is_exact)
    }

    #[test]
    fn the_list_is_the_narrowest_that_holds_all_who_fit() {
        assert_eq!(term("an"), ("an".into(), true));
        assert_eq!(term("Smith"), ("smith".into(), true));
        assert_eq!(term("johnson"), ("johns".into(), false));
        assert_eq!(term("j s"), ("j s".into(), true));
        assert_eq!(term("smi joh"), ("joh smi".into(), true));
        assert_eq!(term("john smith"), ("joh smi".into(), false));
        assert_eq!(term("jo smith"), ("j s".into(), false));
        assert_eq!(term("anna maria lee"), ("ann mar".into(), false));
    }
}
