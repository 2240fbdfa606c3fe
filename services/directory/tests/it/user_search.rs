//! `UserService.SearchUsers`: who is found, in which order, page by page.

use concierge_model::search::{Query, words};
use concierge_proto::directory::{
    AssignUserRoleRequest, DeleteUserRequest, DeleteUserRoleRequest, SearchUsersRequest, SearchUsersResponse, Site,
    UndeleteUserRequest, UndeleteUserRoleRequest, UpdateUserRoleRequest, User, UserRole,
};
use concierge_testkit::request_id;
use tonic::Status;
use uuid::Uuid;

use crate::desk::{Desk, mask, reason};

async fn page(desk: &Desk, request: SearchUsersRequest) -> Result<SearchUsersResponse, Status> {
    Ok(desk.users().search_users(request).await?.into_inner())
}

/// Every page of a search.
async fn all(desk: &Desk, query: &str, filter: &str, page_size: i32) -> Vec<(String, f64)> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = SearchUsersRequest { query: query.to_owned(), page_size, page_token, filter: filter.to_owned() };
        let answer = page(desk, request).await.unwrap();
        assert!(answer.results.len() <= usize::try_from(page_size).unwrap());
        found.extend(answer.results.into_iter().map(|r| (r.user.unwrap().name, r.relevance)));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

async fn names(desk: &Desk, query: &str) -> Vec<String> {
    all(desk, query, "", 50).await.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn users_are_found_by_names_logins_addresses_and_phones() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user_with(&site, "Ann-Sophie Müller", |u| {
        u.emails = vec!["sophie@steel.example".into(), "a.mueller@private.example".into()];
        u.phones = vec!["+49 (30) 1234567".into()];
        (u.login_name, u.given_name) = ("asm42".into(), "Änne".into());
    });
    ann.await;
    desk.user(&site, "Bob Ray").await;
    for query in [
        "ann",
        "SOPHIE mül",
        "muller ann",
        "ann-sophie",
        "anne",
        "asm42",
        "asm",
        "sophie@steel.example",
        "steel",
        "a.mueller@",
        "mueller ann",
        "030 1234567",
        "+49301234567",
        "004930123",
        "1234567",
        "ann 1234567",
        "s m",
        "mu so",
        "sop mul",
        "sophi mulle",
        "ann soph mull",
    ] {
        assert_eq!(names(&desk, query).await, ["Ann-Sophie Müller"], "{query}");
    }
    for query in ["nn", "üller", "ann bob", "steelworks", "12345678", "!", "ray steel", "annx", "ann mulx"] {
        assert!(names(&desk, query).await.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn a_role_makes_its_users_come_first_as_soon_as_it_is_important() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let role = desk.user_role(UserRole { name: "Board".into(), ..Default::default() }).await;
    for name in ["Ines Aal", "Ines Berg"] {
        desk.user(&site, name).await;
    }
    let zorn = desk.user(&site, "Ines Zorn").await;
    desk.user_with(&site, "Ines Ypern", |u| u.important = true).await;
    let assign = AssignUserRoleRequest {
        user_id: zorn.id,
        role_id: role.id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    desk.user_roles().assign_user_role(assign).await.unwrap();
    let switch = async |important: bool| {
        let request = UpdateUserRoleRequest {
            user_role: Some(UserRole { id: role.id.clone(), important, ..Default::default() }),
            update_mask: Some(mask(&["important"])),
            request_id: request_id(),
        };
        desk.user_roles().update_user_role(request).await.unwrap();
    };
    let plain = ["Ines Ypern", "Ines Aal", "Ines Berg", "Ines Zorn"];
    assert_eq!(names(&desk, "ines").await, plain);
    switch(true).await;
    for query in ["ines", "ines@example.com"] {
        assert_eq!(names(&desk, query).await, ["Ines Ypern", "Ines Zorn", "Ines Aal", "Ines Berg"], "{query}");
    }
    let request = SearchUsersRequest { query: "zorn".into(), ..Default::default() };
    assert!(page(&desk, request).await.unwrap().results[0].important);
    switch(false).await;
    assert_eq!(names(&desk, "ines").await, plain);
}

#[tokio::test]
async fn who_may_not_read_importance_learns_it_from_nothing() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    for (name, important) in [("Ines Aal", false), ("Ines Berg", true), ("Ines Coy", false), ("Ines Zorn", true)] {
        desk.user_with(&site, name, |u| u.important = important).await;
    }
    let first = SearchUsersRequest { query: "ines".into(), page_size: 1, ..Default::default() };
    let token = page(&desk, first.clone()).await.unwrap().next_page_token;
    desk.limit(&["users.read"]);
    let in_order = ["Ines Aal", "Ines Berg", "Ines Coy", "Ines Zorn"];
    for size in [1, 2, 3, 50] {
        let found: Vec<String> = all(&desk, "ines", "", size).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, in_order, "{size}");
    }
    let answer = page(&desk, SearchUsersRequest { page_size: 50, ..first.clone() }).await.unwrap();
    assert!(answer.results.iter().all(|r| !r.important && !r.user.as_ref().unwrap().important));
    // A page of the other order is none of this one.
    let status = page(&desk, SearchUsersRequest { page_token: token, ..first.clone() }).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    let status = page(&desk, SearchUsersRequest { filter: "important = true".into(), ..first }).await.unwrap_err();
    assert_eq!(reason(&status), "FILTER_INVALID");
}

#[tokio::test]
async fn results_follow_what_becomes_of_users() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let ann = desk.user(&site, "Ann Lee").await;
    let renamed = desk.change_user(User { name: "Eve Ray".into(), ..ann.clone() }, &["name"]).await;
    assert_eq!(names(&desk, "eve").await, ["Eve Ray"]);
    // The address still says so.
    assert_eq!(all(&desk, "ann", "", 50).await, [("Eve Ray".to_owned(), 0.5)]);
    assert_eq!(all(&desk, "eve ray", "", 50).await[0].1, 1.0);
    assert_eq!(all(&desk, "ray", "", 50).await[0].1, 0.75);

    let inactive = User { active: Some(false), etag: String::new(), ..renamed };
    desk.change_user(inactive, &["active"]).await;
    let request = SearchUsersRequest { query: "eve".into(), ..Default::default() };
    let found = page(&desk, request.clone()).await.unwrap().results.remove(0);
    assert!(!found.active);
    assert_eq!((found.site_name.as_str(), found.customer_name.as_str()), ("Acme main site", "Acme"));
    let live = SearchUsersRequest { filter: "active = true".into(), ..request };
    assert!(page(&desk, live).await.unwrap().results.is_empty());

    let delete = DeleteUserRequest { id: ann.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(delete).await.unwrap();
    assert!(names(&desk, "eve").await.is_empty());
    let back = UndeleteUserRequest { id: ann.id, request_id: request_id() };
    desk.users().undelete_user(back).await.unwrap();
    assert_eq!(names(&desk, "eve").await, ["Eve Ray"]);
}

/// A small generator of its own, so that every run searches the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

const WORDS: [&str; 16] = [
    "an",
    "ann",
    "anna",
    "annabel",
    "annabella",
    "bo",
    "bob",
    "bobby",
    "johnson",
    "johns",
    "john",
    "jo",
    "Östen",
    "o'hara",
    "xi",
    "lee",
];

/// What a search must find, by looking at everybody.
fn naive(users: &[User], query: &str) -> Vec<(String, f64)> {
    let query = Query::parse(query).unwrap();
    let begins = |all: &[String], word: &String| all.iter().any(|w| w.starts_with(word.as_str()));
    let mut found: Vec<(u8, bool, String, &User)> = Vec::new();
    for user in users {
        let own = words(&user.name);
        let others: Vec<String> = user.emails.iter().flat_map(|e| words(e)).chain(own.iter().cloned()).collect();
        let mut distinct = own.clone();
        let mut seen = Vec::new();
        distinct.retain(|w| {
            !seen.contains(w) && {
                seen.push(w.clone());
                true
            }
        });
        let names = distinct.join(" ");
        let tier = if names == query.names {
            0
        } else if query.words.iter().all(|w| begins(&own, w)) {
            1
        } else if query.words.iter().all(|w| begins(&others, w)) {
            2
        } else {
            continue;
        };
        found.push((tier, !user.important, names, user));
    }
    found.sort_by(|a, b| (a.0, a.1, &a.2, &a.3.id).cmp(&(b.0, b.1, &b.2, &b.3.id)));
    found.into_iter().map(|(tier, _, _, user)| (user.id.clone(), [1.0, 0.75, 0.5][usize::from(tier)])).collect()
}

async fn ids(desk: &Desk, query: &str, filter: &str, page_size: i32) -> Vec<(String, f64)> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = SearchUsersRequest { query: query.to_owned(), page_size, page_token, filter: filter.to_owned() };
        let answer = page(desk, request).await.unwrap();
        found.extend(answer.results.into_iter().map(|r| (r.user.unwrap().id, r.relevance)));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

#[tokio::test]
async fn every_page_holds_what_looking_at_everybody_finds() {
    let desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut users = Vec::new();
    for n in 0..80 {
        let name: Vec<&str> = (0..=dice.roll(3)).map(|_| dice.pick(&WORDS)).collect();
        let email = format!("{}{n}@{}.example", words(dice.pick(&WORDS))[0], words(dice.pick(&WORDS))[0]);
        let (important, active) = (dice.roll(10) == 0, dice.roll(3) > 0);
        users.push(add(&desk, &site, &name.join(" "), email, important, active).await);
    }
    let live: Vec<User> = users.iter().filter(|u| u.active == Some(true)).cloned().collect();
    for _ in 0..25 {
        let mut query = Vec::new();
        for _ in 0..=dice.roll(3) {
            let word = words(dice.pick(&WORDS))[0].clone();
            let letters = 1 + dice.roll(word.chars().count());
            query.push(word.chars().take(letters).collect::<String>());
        }
        let query = query.join(" ");
        let size = i32::try_from(5 + dice.roll(40)).unwrap();
        assert_eq!(ids(&desk, &query, "", size).await, naive(&users, &query), "{query} by {size}");
        assert_eq!(ids(&desk, &query, "active = true", size).await, naive(&live, &query), "{query} by {size}, active");
    }
}

async fn add(desk: &Desk, site: &Site, name: &str, email: String, important: bool, active: bool) -> User {
    let user = desk.user_with(site, name, |u| {
        (u.emails, u.important, u.active) = (vec![email], important, Some(active));
    });
    user.await
}

#[tokio::test]
async fn important_users_behind_many_that_a_filter_drops_still_come_first() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let important = UserRole { name: "Board".into(), important: true, ..Default::default() };
    let role = desk.user_role(important).await;
    let template = desk.user_with(&site, "Anna Aal", |u| u.important = true).await;
    let pool = desk.suite.service("directory").database.pool.clone();
    // More than a filtered list is looked into: all important by their own flag, all before the others.
    sqlx::query(
        "insert into users select (jsonb_populate_record(u, jsonb_build_object('id', gen_random_uuid()))).*
         from users u, generate_series(1, 600) where u.id = $1",
    )
    .bind(template.id.parse::<uuid::Uuid>().unwrap())
    .execute(&pool)
    .await
    .unwrap();
    let mut by_role = Vec::new();
    for number in 1..=4 {
        let name = format!("Anna Role{number}");
        desk.user_with(&site, &name, |u| u.role_ids = vec![role.id.clone()]).await;
        by_role.push(name);
    }
    let mut others = Vec::new();
    for number in 1..=4 {
        let name = format!("Anna Berg{number}");
        desk.user(&site, &name).await;
        others.push(name);
    }
    let found = |all: Vec<(String, f64)>| all.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    for size in [1, 2, 3, 8] {
        let expected = [by_role.clone(), others.clone()].concat();
        assert_eq!(found(all(&desk, "ann", "important = false", size).await), expected, "{size}");
    }
    // Nor does who may not know miss anybody, whose filter says the same of something else.
    desk.limit(&["users.read"]);
    for size in [1, 3, 8] {
        let expected = [others.clone(), by_role.clone()].concat();
        assert_eq!(found(all(&desk, "ann", "name != \"Anna Aal\"", size).await), expected, "{size}");
    }
}

#[tokio::test]
async fn a_role_that_comes_back_makes_its_users_important_again() {
    let mut desk = Desk::open().await;
    let (_, site) = desk.customer("Acme").await;
    let role = desk.user_role(UserRole { name: "Board".into(), important: true, ..Default::default() }).await;
    desk.user(&site, "Ines Aal").await;
    let zorn = desk.user_with(&site, "Ines Zorn", |u| u.role_ids = vec![role.id.clone()]).await;
    assert_eq!(names(&desk, "ines").await, ["Ines Zorn", "Ines Aal"]);
    // Nobody live has the role, so it can go; earlier releases let who has it come back before it, and keep it.
    let delete = DeleteUserRequest { id: zorn.id.clone(), etag: String::new(), request_id: request_id() };
    desk.users().delete_user(delete).await.unwrap();
    let delete = DeleteUserRoleRequest { id: role.id.clone(), etag: String::new(), request_id: request_id() };
    desk.user_roles().delete_user_role(delete).await.unwrap();
    let undelete = UndeleteUserRequest { id: zorn.id.clone(), request_id: request_id() };
    desk.users().undelete_user(undelete).await.unwrap();
    let (zorn, had): (Uuid, Uuid) = (zorn.id.parse().unwrap(), role.id.parse().unwrap());
    sqlx::query("update users set role_ids = array[$2] where id = $1")
        .bind(zorn)
        .bind(had)
        .execute(&desk.suite.service("directory").database.pool)
        .await
        .unwrap();
    assert_eq!(names(&desk, "ines").await, ["Ines Aal", "Ines Zorn"]);
    let undelete = UndeleteUserRoleRequest { id: role.id, request_id: request_id() };
    desk.user_roles().undelete_user_role(undelete).await.unwrap();
    assert_eq!(names(&desk, "ines").await, ["Ines Zorn", "Ines Aal"]);
}
