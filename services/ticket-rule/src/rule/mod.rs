//! `RuleService`: what is done to tickets by itself, tried and explained.

mod apply;
mod change;
mod conceal;
mod difference;
mod explain;
mod export;
mod handles;
mod import;
mod lint;
mod matches;
mod order;
mod problems;
mod reapply;
pub(crate) mod references;
mod simulate;
mod store;
mod trial;

use concierge_model::criteria;
use concierge_proto::Record as _;
use concierge_proto::ticket_rule::rule_service_server::RuleService;
use concierge_proto::ticket_rule::{
    ApplyRuleRequest, ApplyRuleResponse, CreateRuleRequest, CreateRuleResponse, DeleteRuleRequest, DeleteRuleResponse,
    EvaluateRulesRequest, EvaluateRulesResponse, ExplainTicketRequest, ExplainTicketResponse, ExportRulesRequest,
    ExportRulesResponse, GetRuleRequest, GetRuleResponse, GetTicketMatchesRequest, GetTicketMatchesResponse,
    ImportRulesRequest, ImportRulesResponse, LintRulesRequest, LintRulesResponse, ListRulesRequest, ListRulesResponse,
    ReapplyRulesRequest, ReapplyRulesResponse, ReorderRulesRequest, ReorderRulesResponse, Rule, SimulateRulesRequest,
    SimulateRulesResponse, UndeleteRuleRequest, UndeleteRuleResponse, UpdateRuleRequest, UpdateRuleResponse,
};
use concierge_runtime::program::Parts;
use concierge_runtime::resource::Only;
use concierge_runtime::{Answer, Error, reply};
use tonic::{Request, Response, Status};

use crate::TicketRule;
use crate::facts::references::{Kind, Known};
use references::Target;
pub use store::Rules;

/// So many bytes a request may have at least: ten thousand rules and more come in one.
pub(crate) const LARGEST_FILE: usize = 32 << 20;

#[tonic::async_trait]
impl RuleService for TicketRule {
    async fn create_rule(&self, request: Request<CreateRuleRequest>) -> Answer<CreateRuleResponse> {
        let known = self.known_to_rules(request.get_ref().rule.as_ref()).await?;
        self.configure_create::<Rules, _>(request, known).await
    }

    async fn get_rule(&self, request: Request<GetRuleRequest>) -> Answer<GetRuleResponse> {
        let mut rule = self.service.read::<Rules>(&request.get_ref().id).await?;
        store::sanitize(&mut rule);
        Ok(reply(rule.into()))
    }

    async fn update_rule(&self, request: Request<UpdateRuleRequest>) -> Answer<UpdateRuleResponse> {
        let known = self.known_to_rules(request.get_ref().rule.as_ref()).await?;
        self.configure_update::<Rules, _>(request, known).await
    }

    async fn delete_rule(&self, request: Request<DeleteRuleRequest>) -> Answer<DeleteRuleResponse> {
        self.configure_delete::<Rules, _>(request).await
    }

    async fn undelete_rule(&self, request: Request<UndeleteRuleRequest>) -> Answer<UndeleteRuleResponse> {
        let rule = match self.service.read::<Rules>(&request.get_ref().id).await {
            // Told with everything else, in the transaction.
            Err(Error::NotFound { .. }) => None,
            found => Some(found?),
        };
        let known = self.known_to_rules(rule.as_ref()).await?;
        self.configure_undelete::<Rules, _>(request, known).await
    }

    async fn list_rules(&self, request: Request<ListRulesRequest>) -> Answer<ListRulesResponse> {
        let (mut rules, next) = self.service.page::<Rules, _>(request.get_ref(), Only::everything()).await?;
        rules.iter_mut().for_each(store::sanitize);
        Ok(reply((rules, next).into()))
    }

    async fn reorder_rules(&self, request: Request<ReorderRulesRequest>) -> Answer<ReorderRulesResponse> {
        order::reorder(self, request).await
    }

    async fn evaluate_rules(&self, request: Request<EvaluateRulesRequest>) -> Answer<EvaluateRulesResponse> {
        trial::evaluate(self, request.into_inner()).await
    }

    async fn explain_ticket(&self, request: Request<ExplainTicketRequest>) -> Answer<ExplainTicketResponse> {
        explain::explain(self, request.into_inner()).await
    }

    async fn get_ticket_matches(&self, request: Request<GetTicketMatchesRequest>) -> Answer<GetTicketMatchesResponse> {
        matches::matches(self, request.into_inner()).await
    }

    async fn apply_rule(&self, request: Request<ApplyRuleRequest>) -> Answer<ApplyRuleResponse> {
        apply::apply(self, request).await
    }

    type SimulateRulesStream = Parts<SimulateRulesResponse>;

    async fn simulate_rules(
        &self,
        request: Request<SimulateRulesRequest>,
    ) -> Result<Response<Self::SimulateRulesStream>, Status> {
        Ok(Response::new(simulate::simulate(self, request.into_inner()).await?))
    }

    async fn lint_rules(&self, request: Request<LintRulesRequest>) -> Answer<LintRulesResponse> {
        lint::run(self, request.into_inner()).await
    }

    type ReapplyRulesStream = Parts<ReapplyRulesResponse>;

    async fn reapply_rules(&self, request: Request<ReapplyRulesRequest>) -> Answer<Self::ReapplyRulesStream> {
        Ok(Response::new(reapply::reapply(self, request.into_inner()).await?))
    }

    type ExportRulesStream = Parts<ExportRulesResponse>;

    async fn export_rules(&self, _: Request<ExportRulesRequest>) -> Answer<Self::ExportRulesStream> {
        Ok(Response::new(export::export(self).await?))
    }

    async fn import_rules(&self, request: Request<ImportRulesRequest>) -> Answer<ImportRulesResponse> {
        import::import(self, request).await
    }
}

impl TicketRule {
    /// What directory says of its records that rules name. Asked before the transaction: while the configuration
    /// changes, tickets wait.
    async fn known_to_rules(&self, rules: impl IntoIterator<Item = &Rule>) -> Result<Known, Error> {
        // What is too large to be a rule is refused in the transaction, without asking anybody.
        let set = self.rule_sets.newest().await?;
        let schema = set.configuration().fields().schema();
        let readable = |rule: &&Rule| criteria::compile(schema, rule.criteria.as_ref(), Rule::TYPE).is_ok();
        let named: Vec<_> = rules.into_iter().filter(readable).flat_map(references::named).collect();
        let asked: Vec<(Kind, &str)> = named
            .iter()
            .filter_map(|named| match named.target {
                Target::Directory(kind) => Some((kind, named.id)),
                _ => None,
            })
            .collect();
        if asked.is_empty() { Ok(Known::default()) } else { self.facts.check(&asked, &[]).await }
    }
}
