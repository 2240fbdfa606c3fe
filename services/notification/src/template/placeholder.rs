//! The values that templates can use; what each means stands in the contract, at
//! `NotificationDefinition.subject_template`.

use concierge_proto::notification::EventType;

macro_rules! placeholders {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A value that a template can use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Placeholder {
            $($variant,)*
        }

        impl Placeholder {
            /// All of them, in the order of the contract's table.
            pub(crate) const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Its name, without braces.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

placeholders! {
    TicketNumber = "ticket.number",
    TicketSummary = "ticket.summary",
    TicketDetails = "ticket.details",
    TicketType = "ticket.type",
    TicketStatus = "ticket.status",
    TicketPriority = "ticket.priority",
    TicketSla = "ticket.sla",
    TicketTeam = "ticket.team",
    TicketAgent = "ticket.agent",
    TicketImpact = "ticket.impact",
    TicketUrgency = "ticket.urgency",
    TicketSource = "ticket.source",
    TicketTags = "ticket.tags",
    TicketLoggedTime = "ticket.logged_time",
    TicketClosedTime = "ticket.closed_time",
    TicketResponseDueTime = "ticket.response_due_time",
    TicketResolutionDueTime = "ticket.resolution_due_time",
    UserName = "user.name",
    UserEmail = "user.email",
    SiteName = "site.name",
    CustomerName = "customer.name",
    ActionText = "action.text",
    ActionAuthor = "action.author",
    RuleName = "rule.name",
    RulesNames = "rules.names",
    Changes = "changes",
    EventType = "event.type",
    EventTime = "event.time",
    EventActor = "event.actor",
    RecipientName = "recipient.name",
}

impl Placeholder {
    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// Whether a definition that waits for this can use it.
    pub(crate) fn is_for(self, event_type: EventType) -> bool {
        self != Self::RuleName || event_type == EventType::RuleMatched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_one_in_the_contract() {
        let contract = include_str!("../../../../proto/concierge/notification/v1/notification_definition.proto");
        let written: Vec<&str> = contract
            .lines()
            .filter(|line| line.trim_start().starts_with("// | `{{"))
            .flat_map(|line| line.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()))
            .collect();
        let ours: Vec<&str> = Placeholder::ALL.into_iter().map(Placeholder::name).collect();
        assert_eq!(ours, written);
    }
}
