//! What is removed when it has had its time.

use chrono::TimeDelta;
use concierge_notification::retention;
use concierge_runtime::clock::Clock as _;

use crate::world::World;

#[tokio::test]
async fn what_is_old_and_done_with_is_removed_and_nothing_else() {
    let mut world = World::new().await;
    let ann = world.user("Ann Lee", "ann@example.org").await;
    world.contact(&ann, "").await;
    let mut events = Vec::new();
    for _ in 0..3 {
        events.push(world.logged(None).await.1);
    }
    for event in &events {
        world.settled(event).await;
    }
    let service = world.service();
    let pool = service.pool().clone();
    let now = world.suite.clock.now();
    let ago = |days: i64| now - TimeDelta::days(days);
    // Of three tickets: the first is old and its item read, the second is old and an e-mail still to be sent, the item of
    // the third was read lately.
    for (event, create, state, read) in
        [(0, 401, 3, Some(91)), (1, 401, 4, None), (2, 399, 3, Some(89))] as [(usize, i64, i32, Option<i64>); 3]
    {
        let id = crate::world::uuid(&events[event]);
        sqlx::query("update deliveries set create_time = $2, state = $3 where event_id = $1 and channel = 1")
            .bind(id)
            .bind(ago(create))
            .bind(state)
            .execute(&pool)
            .await
            .unwrap();
        sqlx::query("update inbox_items set create_time = $2, read_time = $3 where event_id = $1")
            .bind(id)
            .bind(ago(if event == 1 { 401 } else { 100 }))
            .bind(read.map(ago))
            .execute(&pool)
            .await
            .unwrap();
    }
    retention::once(&service).await.unwrap();
    let left = |sql: &'static str| {
        let pool = pool.clone();
        async move { sqlx::query_scalar::<_, String>(sql).fetch_all(&pool).await.unwrap() }
    };
    let emails = left("select event_id::text from deliveries where channel = 1 order by id").await;
    assert_eq!(emails, events[1..], "one to be sent is kept, however old");
    let items = left("select event_id::text from inbox_items").await;
    assert_eq!(items, [events[2].clone()], "read long ago, never read, read lately");
}
