#!/usr/bin/env python3
"""The story of one important user's ticket, told by a client generated from `proto/` with grpcio-tools.

    python3 tests/clients/python/story.py --token .concierge/admin.token

Needs grpcio and grpcio-tools. Expects the suite where `concierge up` puts it, or at --port.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile
import time
import uuid

import grpc
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[3]


def generate(into: pathlib.Path) -> None:
    """Generates the client: what any user of the contract does."""
    protos = [str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto")]
    include = importlib.resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{include}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main(arguments + protos) != 0:
        sys.exit("story: the client could not be generated")
    sys.path.insert(0, str(into))


def load(name: str):
    return importlib.import_module(f"concierge.{name}_pb2"), importlib.import_module(f"concierge.{name}_pb2_grpc")


def request_id() -> str:
    return str(uuid.uuid4())


def eventually(what: str, check, seconds: float = 10.0):
    """Waits for what another service hears of by event."""
    until = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > until:
            sys.exit(f"story: {what} did not happen within {seconds} s")
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=7101, help="where the directory listens (default 7101)")
    parser.add_argument("--token", type=pathlib.Path, default=pathlib.Path(".concierge/admin.token"))
    arguments = parser.parse_args()
    bearer = (("authorization", f"Bearer {arguments.token.read_text().strip()}"),)
    with tempfile.TemporaryDirectory() as folder:
        generate(pathlib.Path(folder))
        tell(arguments.port, bearer)


def tell(port: int, bearer) -> None:
    directory, ticket_rule, notification = (grpc.insecure_channel(f"127.0.0.1:{port + n}") for n in range(3))
    tag = uuid.uuid4().hex[:8]
    criteria, _ = load("common.v1.criteria")

    customers_pb, customers_grpc = load("directory.v1.customer")
    sites_pb, _ = load("directory.v1.site")
    users_pb, users_grpc = load("directory.v1.user")
    roles_pb, roles_grpc = load("directory.v1.user_role")
    customers = customers_grpc.CustomerServiceStub(directory)
    created = customers.CreateCustomer(
        customers_pb.CreateCustomerRequest(
            customer=customers_pb.Customer(name=f"Python {tag}", important=True, time_zone="Europe/Berlin"),
            main_site=sites_pb.Site(name="Head office"),
            main_contact=users_pb.User(name="Main Contact", emails=[f"contact@{tag}.example"]),
            request_id=request_id(),
        ),
        metadata=bearer,
    )
    print("customer", created.customer.id, "important:", created.customer.important)

    role = roles_grpc.UserRoleServiceStub(directory).CreateUserRole(
        roles_pb.CreateUserRoleRequest(
            user_role=roles_pb.UserRole(name=f"Board {tag}", important=True), request_id=request_id()
        ),
        metadata=bearer,
    ).user_role
    users = users_grpc.UserServiceStub(directory)
    director = users.CreateUser(
        users_pb.CreateUserRequest(
            user=users_pb.User(
                name=f"Director {tag}",
                site_id=created.main_site.id,
                emails=[f"director@{tag}.example"],
                role_ids=[role.id],
            ),
            request_id=request_id(),
        ),
        metadata=bearer,
    ).user
    effective = users.GetEffectiveUser(users_pb.GetEffectiveUserRequest(id=director.id), metadata=bearer).effective_user
    assert effective.importance.value and not effective.importance.own
    assert list(effective.importance.role_ids) == [role.id]

    teams_pb, teams_grpc = load("directory.v1.team")
    team = teams_grpc.TeamServiceStub(directory).CreateTeam(
        teams_pb.CreateTeamRequest(team=teams_pb.Team(name=f"White glove {tag}"), request_id=request_id()),
        metadata=bearer,
    ).team
    rules_pb, rules_grpc = load("ticket_rule.v1.rule")
    rules = rules_grpc.RuleServiceStub(ticket_rule)
    wanted = rules_pb.CreateRuleRequest(
        rule=rules_pb.Rule(
            name=f"Important user {tag}",
            criteria=criteria.CriteriaGroup(
                kind=criteria.GROUP_KIND_ALL,
                criteria=[
                    criteria.Criterion(
                        field="user.important",
                        operator=criteria.OPERATOR_IS,
                        values=[criteria.CriterionValue(flag=True)],
                    ),
                    criteria.Criterion(
                        field="ticket.customer",
                        operator=criteria.OPERATOR_IS,
                        values=[criteria.CriterionValue(id=created.customer.id)],
                    ),
                ],
            ),
            outcomes=rules_pb.RuleOutcomes(team_id=team.id, popup_html="<p>Call back.</p>"),
        ),
        request_id=request_id(),
    )

    def create_rule():
        try:
            return rules.CreateRule(wanted, metadata=bearer).rule
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None

    rule = eventually("ticket-rule hearing of the team", create_rule)

    tickets_pb, tickets_grpc = load("ticket_rule.v1.ticket")
    tickets = tickets_grpc.TicketServiceStub(ticket_rule)
    log = tickets_pb.LogTicketRequest(
        ticket=tickets_pb.Ticket(summary="The conference line is silent", user_id=director.id),
        request_id=request_id(),
    )
    logged = tickets.LogTicket(log, metadata=bearer)
    assert logged.ticket.team_id == team.id, logged
    assert rule.id in [m.rule_id for m in logged.evaluation.matches], logged
    again = tickets.LogTicket(log, metadata=bearer)
    assert again.SerializeToString(deterministic=True) == logged.SerializeToString(deterministic=True)
    print("ticket", logged.ticket.number, "went to", team.name, "by", [m.rule_name for m in logged.evaluation.matches])

    explained = rules.ExplainTicket(rules_pb.ExplainTicketRequest(ticket_id=logged.ticket.id), metadata=bearer)
    assert any(t.rule_id == rule.id for t in explained.traces), explained

    contacts_pb, contacts_grpc = load("directory.v1.site_contact")
    contacts = contacts_grpc.SiteContactServiceStub(directory)
    contacts.AssignSiteContact(
        contacts_pb.AssignSiteContactRequest(
            site_id=created.main_site.id, user_id=created.main_contact.id, request_id=request_id()
        ),
        metadata=bearer,
    )
    deliveries_pb, deliveries_grpc = load("notification.v1.delivery")
    deliveries = deliveries_grpc.DeliveryServiceStub(notification)

    def told():
        second = tickets.LogTicket(
            tickets_pb.LogTicketRequest(
                ticket=tickets_pb.Ticket(summary="And again", user_id=director.id), request_id=request_id()
            ),
            metadata=bearer,
        )

        def listed():
            return deliveries.ListDeliveries(
                deliveries_pb.ListDeliveriesRequest(filter=f'ticket_id = "{second.ticket.id}"'), metadata=bearer
            ).deliveries

        until = time.monotonic() + 2
        while time.monotonic() < until:
            if listed():
                return listed()
            time.sleep(0.1)
        return None

    for delivery in eventually("telling the site contact", told, 20):
        print("delivery", deliveries_pb.DeliveryReason.Name(delivery.reason))

    # A bad request names every bad field, in a form that a program reads.
    try:
        customers.CreateCustomer(customers_pb.CreateCustomerRequest(request_id="no-id"), metadata=bearer)
        sys.exit("story: a bad request went through")
    except grpc.RpcError as error:
        from google.rpc import error_details_pb2
        from grpc_status import rpc_status

        status = rpc_status.from_call(error)
        found = {}
        for detail in status.details:
            for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
                if detail.Is(kind.DESCRIPTOR):
                    message = kind()
                    detail.Unpack(message)
                    found[kind.__name__] = message
        assert found["ErrorInfo"].reason == "INVALID_FIELD", found
        fields = [violation.field for violation in found["BadRequest"].field_violations]
        assert {"customer", "main_site", "request_id"} <= set(fields), fields
        print("refused with", found["ErrorInfo"].reason, "for", ", ".join(fields))
    print("story: told to its end")


if __name__ == "__main__":
    main()
