//! What `up` refuses, and what it says then.

use std::net::TcpListener;

use crate::kit::Home;

#[tokio::test]
async fn names_every_port_that_is_taken_and_starts_nothing() {
    let home = Home::new();
    let taken = [home.port + 1, home.port + 12];
    let _listeners = taken.map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let output = home.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    let [first, second] = taken;
    assert!(said.contains(&format!("ports {first}, {second} of 127.0.0.1 are taken")), "{said}");
    assert!(said.contains("--port"), "{said}");
    assert!(!home.path("postgres").exists(), "nothing was started");
}

#[tokio::test]
async fn refuses_ports_that_leave_no_room() {
    let output = std::process::Command::new(crate::kit::PROGRAM).args(["up", "--port", "65524"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("65523"), "{said}");
}

#[tokio::test]
async fn says_that_it_cannot_write_its_home() {
    let home = Home::new();
    std::fs::write(home.root(), "a file").unwrap();
    let output = home.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("cannot create") && said.contains("home"), "{said}");
}
