//! What of a trace is told to whom.

use concierge_model::criteria::read_permission;
use concierge_proto::Permission;
use concierge_proto::ticket_rule::RuleTrace;
use concierge_runtime::Call;

/// Takes the values out that the caller may not read; what came of the criteria stays.
pub(super) fn conceal(traces: &mut [RuleTrace]) {
    let Some(call) = Call::current() else { return };
    let permissions = call.permissions();
    let may_read = |field: &str| {
        read_permission(field)
            .is_none_or(|name| Permission::named(name).is_some_and(|needed| permissions.holds(needed)))
    };
    for criterion in traces.iter_mut().flat_map(|trace| &mut trace.criteria) {
        if criterion.criterion.as_ref().is_some_and(|criterion| !may_read(&criterion.field)) {
            criterion.seen.clear();
            criterion.was.clear();
        }
    }
}
