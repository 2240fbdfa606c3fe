//! A contract that does not say who may call a method, or states a rule that nothing would keep, stops the build.

use std::fs;
use std::path::Path;

use prost_reflect::DescriptorPool;

use crate::derive;

/// Derives the code of one more file beside the contract's own options, as `build.rs` does.
fn build(case: &str, body: &str) -> Result<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contract").join(case);
    fs::create_dir_all(&folder).unwrap();
    let head = "syntax = \"proto3\";\npackage concierge.trial.v1;\n\
                import \"concierge/options/v1/options.proto\";\n\
                import \"google/protobuf/duration.proto\";\n";
    fs::write(folder.join("trial.proto"), format!("{head}{body}")).unwrap();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut compiler = protox::Compiler::new([folder, contract]).unwrap();
    compiler.include_imports(true).open_files(["trial.proto"]).unwrap();
    derive::derive(&DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap())
}

/// One method with the given options.
fn method(options: &str) -> String {
    format!(
        "message DoRequest {{}}\nmessage DoResponse {{}}\n\
         service TrialService {{\n  rpc Do(DoRequest) returns (DoResponse) {{ {options} }}\n}}\n"
    )
}

/// One message with the given field, in a request that a permission guards.
fn field(declaration: &str) -> String {
    format!(
        "enum Colour {{ COLOUR_UNSPECIFIED = 0; COLOUR_RED = 1; }}\n\
         message Inner {{ string text = 1; }}\n\
         message DoRequest {{ {declaration} }}\nmessage DoResponse {{}}\n\
         service TrialService {{\n  rpc Do(DoRequest) returns (DoResponse) {{\n    \
         option (concierge.options.v1.method) = {{permission: \"trials.read\"}};\n  }}\n}}\n"
    )
}

const NAME: &str = "concierge.trial.v1.TrialService/Do";

#[test]
fn refuses_a_method_that_does_not_say_who_may_call_it() {
    let cases = [
        ("absent", "", "has no (concierge.options.v1.method): say who may call it"),
        ("empty", "option (concierge.options.v1.method) = {};", "names no permission and is not public"),
        (
            "kinds_only",
            "option (concierge.options.v1.method) = {kinds: [CALLER_KIND_AGENT]};",
            "names no permission and is not public",
        ),
        (
            "public_and_guarded",
            "option (concierge.options.v1.method) = {public: true, permission: \"trials.read\"};",
            "is public and has other options beside it",
        ),
        (
            "user_without_scope",
            "option (concierge.options.v1.method) = {permission: \"trials.read\", kinds: [CALLER_KIND_USER]};",
            "a scope goes with the kinds USER and API_CLIENT, and only with them",
        ),
        (
            "api_client_without_scope",
            "option (concierge.options.v1.method) = {permission: \"trials.read\", kinds: [CALLER_KIND_API_CLIENT]};",
            "a scope goes with the kinds USER and API_CLIENT, and only with them",
        ),
        (
            "agent_with_scope",
            "option (concierge.options.v1.method) = {permission: \"trials.read\", scope: SCOPE_OWN_SITE};",
            "a scope goes with the kinds USER and API_CLIENT, and only with them",
        ),
    ];
    for (case, options, why) in cases {
        assert_eq!(build(case, &method(options)).unwrap_err(), format!("{NAME}: {why}"), "{case}");
    }
}

#[test]
fn tells_of_every_method_that_is_wrong() {
    let two = "message M {}\nservice TrialService {\n  rpc One(M) returns (M);\n  rpc Two(M) returns (M);\n}\n";
    let told = build("two", two).unwrap_err();
    let named: Vec<&str> = told.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(named, ["concierge.trial.v1.TrialService/One", "concierge.trial.v1.TrialService/Two"]);
}

#[test]
fn takes_a_method_that_does() {
    for (case, options, row) in [
        ("public", "option (concierge.options.v1.method) = {public: true};", "public: true, permission: None"),
        (
            "guarded",
            "option (concierge.options.v1.method) = {permission: \"trials.read\"};",
            "kinds: &[CallerKind::Agent, CallerKind::Service], scope: Scope::Unspecified",
        ),
        (
            "portal",
            "option (concierge.options.v1.method) = \
             {permission: \"trials.read\", kinds: [CALLER_KIND_USER], scope: SCOPE_SELF};",
            "kinds: &[CallerKind::User], scope: Scope::Self_",
        ),
    ] {
        let code = build(case, &method(options)).unwrap();
        assert!(code.contains(&format!("path: \"/{NAME}\"")) && code.contains(row), "{case}: {code}");
    }
}

#[test]
fn refuses_a_rule_that_nothing_would_keep() {
    let cases = [
        ("max_length", "int32 f = 1 [(concierge.options.v1.field) = {max_length: 5}];", "are for strings"),
        ("format", "bool f = 1 [(concierge.options.v1.field) = {format: FORMAT_ID}];", "are for strings"),
        ("minimum", "string f = 1 [(concierge.options.v1.field) = {minimum: 1}];", "whole numbers and durations"),
        ("max_items", "string f = 1 [(concierge.options.v1.field) = {max_items: 1}];", "are for repeated fields"),
        (
            "unique_items",
            "repeated Inner f = 1 [(concierge.options.v1.field) = {unique_items: true}];",
            "is for lists of strings and of enum values",
        ),
        ("required", "bool f = 1 [(concierge.options.v1.field) = {required: true}];", "that can be absent"),
    ];
    for (case, declaration, why) in cases {
        let told = build(&format!("rule_{case}"), &field(declaration)).unwrap_err();
        assert!(told.starts_with("concierge.trial.v1.DoRequest.f: ") && told.ends_with(why), "{case}: {told}");
    }
    let sound = "repeated Colour f = 1 [(concierge.options.v1.field) = {unique_items: true}]; \
                 google.protobuf.Duration g = 2 [(concierge.options.v1.field) = {maximum: 5}]; \
                 optional bool h = 3 [(concierge.options.v1.field) = {required: true}];";
    build("rule_sound", &field(sound)).unwrap();
}

#[test]
fn refuses_a_default_that_cannot_be_given() {
    let record = |declaration: &str| {
        format!(
            "enum Colour {{ COLOUR_UNSPECIFIED = 0; COLOUR_RED = 1; }}\n\
             message Trial {{ string id = 1; {declaration} int64 create_time = 90; int64 update_time = 91; \
             string etag = 93; }}\n"
        )
    };
    let unknown = "Colour f = 2 [(concierge.options.v1.field) = {default_value: \"COLOUR_BLUE\"}];";
    assert_eq!(
        build("default_unknown", &record(unknown)).unwrap_err(),
        "concierge.trial.v1.Trial.f: \"COLOUR_BLUE\" is no value"
    );
    let plain = "bool f = 2 [(concierge.options.v1.field) = {default_value: \"true\"}];";
    assert_eq!(
        build("default_plain", &record(plain)).unwrap_err(),
        "concierge.trial.v1.Trial.f: a default needs a field with presence"
    );
}
