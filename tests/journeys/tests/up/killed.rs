//! `kill -9` of anything: what was acknowledged is there, and everything comes back by itself.

use concierge_journeys::process::SERVICES;
use rustix::process::Signal;

use crate::interrupted::end_in_the_middle_of_starting;
use crate::kit::{Home, eventually, kill, lives};

#[tokio::test]
async fn recovers_from_kill_of_anything() {
    let home = Home::new();
    end_in_the_middle_of_starting(&home).await;
    let up = home.up().await;
    let mut customers = vec![up.create("Before any kill").await];

    // Each service in turn is started again.
    for (name, _) in SERVICES {
        let killed = up.service(name).unwrap();
        kill(killed, Signal::KILL);
        eventually(name, || up.service(name).is_some_and(|pid| pid != killed)).await;
        customers.push(up.create(&format!("After {name}")).await);
    }
    assert!(up.said().contains("directory ended"), "{}", up.said());

    // Postgres: services stay, and serve again once it is back.
    let (killed, services) = (home.postgres(), up.services());
    kill(killed, Signal::KILL);
    eventually("Postgres to be gone", || !lives(killed)).await;
    customers.push(up.create("After Postgres").await);
    assert_ne!(home.postgres(), killed);
    assert!(up.said().contains("Postgres ended; starting it again"), "{}", up.said());
    assert_eq!(up.services(), services);

    // `up` itself: what it started dies with it, and the next one, started at once, finds everything.
    let family = up.family();
    up.kill();
    let up = home.up().await;
    let left: Vec<_> = family.iter().filter(|pid| lives(**pid)).collect();
    assert!(left.is_empty(), "{left:?} outlive their up");
    customers.push(up.create("After up").await);

    // All of it at once but Postgres, whose watchdog cannot end it now: the next `up` does.
    let (postgres, family) = (home.postgres(), up.family());
    let watchdog_and_services: Vec<u32> = up.children().into_iter().filter(|pid| *pid != postgres).collect();
    up.kill_with(&watchdog_and_services);
    assert!(lives(postgres), "Postgres is left");
    let up = home.up().await;
    assert!(up.said().contains("ending the Postgres of a run that was killed"), "{}", up.said());
    assert!(!family.iter().any(|pid| lives(*pid)));

    for id in &customers {
        assert!(!up.read(id).await.is_empty());
    }

    // Nobody starts it again: all of it goes.
    let family = up.family();
    up.kill();
    eventually("everything to die with up", || !family.iter().any(|pid| lives(*pid))).await;
    assert!(!home.anybody_listens());
}
