//! What a notification definition must be beyond what its fields say alone.

use concierge_criteria::Schema;
use concierge_model::criteria;
use concierge_proto::Violations;
use concierge_proto::error::Reason;
use concierge_proto::notification::{Channel, EventType, NotificationDefinition, NotificationRecipients};
use concierge_runtime::Error;
use concierge_runtime::html::sanitize;

use crate::template::{Placeholder, Problem, Template};

/// Checks a definition, whose criteria can name these fields, and sanitises its body. Everything that is wrong for one reason is told at once; the reasons
/// come in the order of the contract.
pub(super) fn check(definition: &mut NotificationDefinition, fields: &Schema) -> Result<(), Error> {
    plain_rules(definition)?;
    criteria::compile(fields, definition.criteria.as_ref(), "notification_definition")
        .map_err(|violations| Error::InvalidBecause { reason: Reason::CriteriaInvalid, violations })?;
    templates(definition)?;
    channels(definition)
}

fn plain_rules(definition: &NotificationDefinition) -> Result<(), Error> {
    let mut violations = Violations::default();
    let on_rule = definition.event_type() == EventType::RuleMatched;
    if on_rule && definition.rule_id.is_empty() {
        violations.add("notification_definition.rule_id", "must name the rule that RULE_MATCHED waits for");
    }
    if !on_rule && !definition.rule_id.is_empty() {
        violations.add("notification_definition.rule_id", "is for the event type RULE_MATCHED only");
    }
    if !definition.recipients.as_ref().is_some_and(names_anybody) {
        violations.add("notification_definition.recipients", "must name at least one recipient");
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}

fn names_anybody(recipients: &NotificationRecipients) -> bool {
    *recipients != NotificationRecipients::default()
}

fn templates(definition: &mut NotificationDefinition) -> Result<(), Error> {
    let event_type = definition.event_type();
    let allowed = |placeholder: Placeholder| placeholder.is_for(event_type);
    let mut violations = Violations::default();
    let mut add = |field: &str, problems: Vec<Problem>| {
        for problem in problems {
            violations.add(format!("notification_definition.{field}"), problem.to_string());
        }
    };
    if let Err(problems) = Template::parse(&definition.subject_template, allowed) {
        add("subject_template", problems);
    }
    match Template::parse(&definition.body_html_template, allowed) {
        Err(problems) => add("body_html_template", problems),
        Ok(_) => {
            let clean = sanitize(&definition.body_html_template);
            // What is taken out may have stood inside a placeholder, or between the braces of one.
            match Template::parse(&clean, allowed) {
                Err(problems) => add("body_html_template", problems),
                Ok(_) if clean.trim().is_empty() => add(
                    "body_html_template",
                    vec![Problem {
                        line: 1,
                        what: "nothing is left once styles, scripts and images are out".to_owned(),
                    }],
                ),
                Ok(_) => definition.body_html_template = clean,
            }
        }
    }
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidBecause { reason: Reason::TemplateInvalid, violations })
    }
}

/// Addresses are reached by e-mail alone; everybody else by every channel.
fn channels(definition: &NotificationDefinition) -> Result<(), Error> {
    let addresses = definition.recipients.as_ref().map_or(0, |r| r.email_addresses.len());
    if addresses == 0 || definition.channels().any(|channel| channel == Channel::Email) {
        return Ok(());
    }
    let mut violations = Violations::default();
    for index in 0..addresses {
        violations.add(
            format!("notification_definition.recipients.email_addresses[{index}]"),
            "is reached by EMAIL only, which is not among the channels",
        );
    }
    Err(Error::InvalidBecause { reason: Reason::ChannelNotForRecipient, violations })
}
