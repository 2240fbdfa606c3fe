#!/usr/bin/env python3
"""The story of one important user's ticket, told by a client generated from `proto/` with grpcio-tools.

    python3 tests/clients/python/story.py --token .concierge/admin.token

Needs grpcio, grpcio-tools and grpcio-status. Expects the suite where `concierge up` puts it, or at --port. It makes a
customer of its own and checks all that it is answered, so it may be told again; settings are put back at its end. For
its length the desk sends e-mail to a server of the story's: it is for a desk to try things on.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile
import types
import uuid

import grpc
from client import MailServer, Suite, eventually, generate, once_heard, request_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=7101, help="where the directory listens (default 7101)")
    parser.add_argument("--token", type=pathlib.Path, default=pathlib.Path(".concierge/admin.token"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        generate(pathlib.Path(folder))
        tell(Suite(arguments.port, arguments.token.read_text().strip()))


def tell(suite: Suite) -> None:
    # What the chapters know of the world; names carry a tag, so that the story can be told again.
    world = types.SimpleNamespace(tag=uuid.uuid4().hex[:8])
    people(suite, world)
    relationships(suite, world)
    rules(suite, world)
    notes(suite, world)
    ticket(suite, world)
    contacts(suite, world)
    popups(suite, world)
    search(suite, world)
    errors(suite)
    print("story: told to its end")


def people(suite: Suite, world) -> None:
    """1. A customer in one call, with its main site and main contact; who is important, and by what."""
    tag = world.tag
    world.customers = suite.service("directory", "customer")
    created = world.customers.CreateCustomer(
        customer=dict(
            name=f"Harbour {tag}",
            important=True,
            time_zone="Europe/Berlin",
            notes="Ships at night.",
        ),
        main_site=dict(name="Head office"),
        main_contact=dict(name=f"Mara Holt {tag}", emails=[f"mara@{tag}.example"]),
    )
    world.customer, world.site, world.contact = created.customer, created.main_site, created.main_contact
    assert world.customer.important and world.customer.active, created
    assert (world.customer.time_zone, world.customer.notes) == ("Europe/Berlin", "Ships at night."), created
    assert world.customer.main_site_id == world.site.id and world.contact.site_id == world.site.id, created
    assert world.contact.customer_id == world.customer.id, created

    suite.service("directory", "site_contact").AssignSiteContact(site_id=world.site.id, user_id=world.contact.id)
    role = suite.service("directory", "user_role").CreateUserRole(user_role=dict(name=f"Board {tag}", important=True))
    world.users = suite.service("directory", "user")

    def user(name: str, important: bool):
        email = f"{name.lower().replace(' ', '.')}@{tag}.example"
        wanted = dict(name=f"{name} {tag}", site_id=world.site.id, emails=[email], important=important)
        return world.users.CreateUser(user=wanted).user

    world.director, world.plain = user("Ines Hallberg", False), user("Ines Halloran", False)
    world.direct = user("Ines Hallstrom", True)
    suite.service("directory", "user_role").AssignUserRole(user_id=world.director.id, role_id=role.user_role.id)
    for who, value, own, roles in [
        (world.director, True, False, [role.user_role.id]),
        (world.direct, True, True, []),
        (world.plain, False, False, []),
    ]:
        found = world.users.GetEffectiveUser(id=who.id).effective_user.importance
        assert (found.value, found.own, list(found.role_ids)) == (value, own, roles), (who.name, found)

    permissions = ["tickets.read", "tickets.write", "popups.read", "importance.read"]
    first_line = suite.service("directory", "agent_role").CreateAgentRole(
        agent_role=dict(name=f"First line {tag}", permissions=permissions)
    )
    world.agent = suite.service("directory", "agent").CreateAgent(
        agent=dict(name="Avery Quill", email=f"avery@{tag}.example", role_ids=[first_line.agent_role.id])
    ).agent
    teams = suite.service("directory", "team")
    world.white_glove = teams.CreateTeam(team=dict(name=f"White glove {tag}")).team
    world.retention = teams.CreateTeam(team=dict(name=f"Retention {tag}")).team
    teams.AddTeamMember(team_id=world.white_glove.id, agent_id=world.agent.id)
    print(f"1. {world.customer.name} is important; {world.director.name} too, by the role Board")


def relationships(suite: Suite, world) -> None:
    """2. Relationships say what kind of customer one is."""
    service = suite.service("directory", "relationship")

    def relationship(name: str) -> str:
        wanted = dict(name=f"{name} {world.tag}", entity="RELATIONSHIP_ENTITY_CUSTOMER")
        return service.CreateRelationship(relationship=wanted).relationship.id

    world.high_value, world.at_risk = relationship("High value"), relationship("At risk")
    both = dict(id=world.customer.id, relationship_ids=[world.high_value, world.at_risk])
    updated = world.customers.UpdateCustomer(customer=both, update_mask=dict(paths=["relationship_ids"])).customer
    assert set(updated.relationship_ids) == {world.high_value, world.at_risk}, updated
    assert updated.name == world.customer.name and updated.etag != world.customer.etag, updated
    print(f"2. {updated.name} is of high value and at risk")


def one(field: str, operator: str, *values: dict) -> dict:
    return dict(field=field, operator=f"OPERATOR_{operator}", values=list(values))


def group(kind: str, criteria=(), groups=()) -> dict:
    return dict(kind=f"GROUP_KIND_{kind}", criteria=list(criteria), groups=list(groups))


def rules(suite: Suite, world) -> None:
    """3. Rules in their order, with every operator that relationships have and every kind of group."""
    tag = world.tag
    ours = one("ticket.customer", "IS", dict(id=world.customer.id))
    both = [dict(id=world.high_value), dict(id=world.at_risk)]
    priorities = suite.service("ticket_rule", "priority").ListPriorities(order_by="rank").priorities
    world.priority = priorities[0]
    world.sla = suite.service("ticket_rule", "sla").CreateSla(sla=dict(name=f"Gold {tag}")).sla
    looked_at = dict(name=f"Looked at {tag}", category="STATUS_CATEGORY_OPEN")
    world.status = suite.service("ticket_rule", "status").CreateStatus(status=looked_at).status

    def related(operator: str, *values: dict) -> dict:
        return one("customer.relationships", operator, *values)

    important = one("customer.important", "IS", dict(flag=True))
    unrelated = group("ALL", [important, related("HAS_NO_VALUE")])
    wanted = [
        (
            "Important user",
            group("ALL", [one("user.important", "IS", dict(flag=True)), ours]),
            dict(
                team_id=world.white_glove.id,
                priority_id=world.priority.id,
                sla_id=world.sla.id,
                popup_html="<p>Call back.</p>",
            ),
        ),
        (
            "Important customer",
            group("ALL", [ours], [group("ANY", [important], [group("NOT", groups=[unrelated])])]),
            dict(status_id=world.status.id),
        ),
        ("At risk", group("ALL", [related("INCLUDES", dict(id=world.at_risk))]), dict(team_id=world.retention.id)),
        (
            "Both and no other",
            group("ALL", [related("HAS_VALUE"), related("EQUALS", *both), related("INCLUDES_ALL", *both)]),
            dict(add_tags=[f"both-{tag}"]),
        ),
        (
            "Not of high value",
            group("ALL", [ours, related("DOES_NOT_INCLUDE", dict(id=world.high_value))]),
            dict(add_tags=[f"ordinary-{tag}"]),
        ),
    ]
    world.rules = suite.service("ticket_rule", "rule")
    world.rule_ids = []
    # After the desk's own rules, whatever they are: what a later rule sets, it sets over them.
    for precedence, (name, criteria, outcomes) in enumerate(wanted, start=1000):
        rule = dict(name=f"{name} {tag}", precedence=precedence, criteria=criteria, outcomes=outcomes)
        same = request_id()
        made = once_heard("a rule", lambda: world.rules.CreateRule(rule=rule, request_id=same))
        world.rule_ids.append(made.rule.id)
    print(f"3. There are {len(wanted)} rules")


def notes(suite: Suite, world) -> None:
    """Popup notes for chapter 6. Once notification takes that of the director, it has heard of the site's contact."""
    service = suite.service("notification", "popup_note")

    def note(text: str, **fields):
        wanted = dict(text_html=text, dismissible=True, **fields)
        same = request_id()
        return once_heard("a note", lambda: service.CreatePopupNote(popup_note=wanted, request_id=same)).popup_note

    world.note_of_customer = note("<b>Ships at night</b>", customer_id=world.customer.id)
    note("Ring twice", site_id=world.site.id)
    note("Prefers mornings", user_id=world.director.id)
    note("Long gone", user_id=world.director.id, until_date="2020-01-01")


def ticket(suite: Suite, world) -> None:
    """4. The director logs a ticket; it comes back changed, with what each rule did, and why."""
    world.tickets = suite.service("ticket_rule", "ticket")
    wanted = dict(summary="The conference line is silent", user_id=world.director.id)
    same = request_id()
    logged = world.tickets.LogTicket(ticket=wanted, request_id=same)
    world.ticket = logged.ticket
    ours = [match for match in logged.evaluation.matches if match.rule_id in world.rule_ids]
    assert [match.rule_id for match in ours] == world.rule_ids[:4], logged
    # The later rule overwrote the earlier one's team; what only the first set stayed.
    assert logged.ticket.team_id == world.retention.id, logged
    assert logged.ticket.priority_id == world.priority.id and logged.ticket.sla_id == world.sla.id, logged
    assert logged.ticket.status_id == world.status.id, logged
    assert f"both-{world.tag}" in logged.ticket.tags and f"ordinary-{world.tag}" not in logged.ticket.tags, logged
    assert logged.ticket.user_important and logged.ticket.customer_important, logged
    changed = {change.field for change in ours[0].changes}
    assert {"ticket.team", "ticket.sla"} <= changed, changed

    again = world.tickets.LogTicket(ticket=wanted, request_id=same)
    assert again.SerializeToString(deterministic=True) == logged.SerializeToString(deterministic=True)

    explained = world.rules.ExplainTicket(ticket_id=world.ticket.id, page_size=1000).traces
    traces = [trace for trace in explained if trace.rule_id in world.rule_ids]
    evaluation = importlib.import_module("concierge.ticket_rule.v1.evaluation_pb2")
    expected = [evaluation.RULE_VERDICT_MATCHED] * 4 + [evaluation.RULE_VERDICT_NOT_MATCHED]
    assert [(t.rule_id, t.verdict) for t in traces] == list(zip(world.rule_ids, expected)), traces
    failed = [c for c in traces[4].criteria if c.criterion.field == "customer.relationships"]
    assert len(failed) == 1 and len(failed[0].seen) == 2, traces[4]
    print(f"4. Ticket #{world.ticket.number} went to {world.retention.name}: {', '.join(m.rule_name for m in ours)}")


def contacts(suite: Suite, world) -> None:
    """5. The site's contact is told once by e-mail and once in the inbox; a definition of one's own silences it."""
    senders = suite.service("notification", "email_sender")
    with MailServer() as mails:
        sender = senders.CreateEmailSender(
            email_sender=dict(
                name=f"Story {world.tag}",
                host="127.0.0.1",
                port=mails.port,
                security="EMAIL_SECURITY_NONE",
                from_address="desk@desk.example",
                position=1,
            )
        ).email_sender
        try:
            told(suite, world, mails)
            silenced(suite, world, mails)
        finally:
            senders.DeleteEmailSender(id=sender.id)
    print(f"5. {world.contact.name} was told once by e-mail and once in the inbox, of the second ticket not at all")


def deliveries_of(suite: Suite, ticket_id: str):
    return suite.service("notification", "delivery").ListDeliveries(filter=f'ticket_id = "{ticket_id}"').deliveries


def told(suite: Suite, world, mails: MailServer) -> None:
    names = suite.service("notification", "delivery").messages
    channels = suite.service("notification", "notification_definition").messages

    def sent():
        found = deliveries_of(suite, world.ticket.id)
        return found if [d.state for d in found] == [names.DELIVERY_STATE_SENT] * 2 else None

    found = eventually("telling the site's contact", sent)
    assert {d.channel for d in found} == {channels.CHANNEL_EMAIL, channels.CHANNEL_INBOX}, found
    assert {d.user_id for d in found} == {world.contact.id}, found
    assert {d.reason for d in found} == {names.DELIVERY_REASON_DEFAULT_NOTIFICATION}, found
    assert mails.recipients.count(world.contact.emails[0]) == 1, mails.recipients

    # The contact's own token opens its inbox, and nobody else's.
    access = suite.service("directory", "access")
    token = access.CreateToken(kind="CALLER_KIND_USER", subject_id=world.contact.id).token
    inbox = suite.service("notification", "delivery", token)
    first = next(inbox.WatchInbox(after_position=0)).inbox_item
    assert first.ticket_id == world.ticket.id and first.user_id == world.contact.id, first
    assert [item.id for item in inbox.ListInboxItems().inbox_items] == [first.id]


def silenced(suite: Suite, world, mails: MailServer) -> None:
    names = suite.service("notification", "delivery").messages
    definitions = suite.service("notification", "notification_definition")
    definition = definitions.CreateNotificationDefinition(
        notification_definition=dict(
            name=f"Closed tickets {world.tag}",
            event_type="EVENT_TYPE_TICKET_CLOSED",
            recipients=dict(site_contacts=dict()),
            channels=["CHANNEL_INBOX"],
            subject_template="Closed: {{ticket.number}}",
            body_html_template="<p>{{ticket.summary}}</p>",
        )
    ).notification_definition
    try:
        second = world.tickets.LogTicket(ticket=dict(summary="Again", user_id=world.plain.id)).ticket
        found = eventually("listing what was suppressed", lambda: deliveries_of(suite, second.id))
        assert {d.state for d in found} == {names.DELIVERY_STATE_SUPPRESSED}, found
        assert {d.reason for d in found} == {names.DELIVERY_REASON_SUPPRESSED_BY_DEFINITION}, found
        assert {d.other_definition_id for d in found} == {definition.id}, found
        assert mails.recipients.count(world.contact.emails[0]) == 1, mails.recipients
    finally:
        off = dict(id=definition.id, enabled=False)
        definitions.UpdateNotificationDefinition(notification_definition=off, update_mask=dict(paths=["enabled"]))


def popups(suite: Suite, world) -> None:
    """6. What an agent sees who opens that ticket, before and after the setting is on."""
    access = suite.service("directory", "access")
    token = access.CreateToken(kind="CALLER_KIND_AGENT", subject_id=world.agent.id).token
    agent, admin = suite.service("notification", "popup", token), suite.service("notification", "popup")
    before = admin.GetPopupSettings().popup_settings.vip_popup_enabled

    def setting(is_on: bool) -> None:
        wanted = dict(vip_popup_enabled=is_on)
        admin.UpdatePopupSettings(popup_settings=wanted, update_mask=dict(paths=["vip_popup_enabled"]))

    def shown(service, **opened) -> list[int]:
        found = service.ListPopups(**opened).popups
        kinds = service.messages
        ours = [p for p in found if p.kind == kinds.POPUP_KIND_RULE and p.rule_id == world.rule_ids[0]]
        assert [p.html for p in ours] == ["<p>Call back.</p>"], found
        return [sum(p.kind == kind for p in found) for kind in (kinds.POPUP_KIND_VIP_USER, kinds.POPUP_KIND_NOTE)]

    of_ticket = dict(ticket_id=world.ticket.id)
    of_draft = dict(draft=dict(summary="The line again", user_id=world.director.id))
    try:
        setting(False)
        assert shown(agent, **of_ticket) == [0, 3]
        setting(True)
        assert shown(agent, **of_ticket) == [1, 3]
        assert shown(agent, **of_draft) == [1, 3]
        agent.DismissPopup(popup_note_id=world.note_of_customer.id)
        assert shown(agent, **of_ticket) == [1, 2]
        assert shown(admin, **of_ticket) == [1, 3], "another agent dismissed nothing"
    finally:
        setting(before)
    print("6. The agent sees who calls, three notes and the rule's text; dismissed one, and only for itself")


def search(suite: Suite, world) -> None:
    """7. Important users come first, and are in the address book; who counts as active; the overview."""
    found = world.users.SearchUsers(query=f"ines hal {world.tag}").results
    assert [r.user.id for r in found] == [world.director.id, world.direct.id, world.plain.id], found

    book = suite.service("directory", "site_contact")
    entries = book.ListAddressBook(site_id=world.site.id, kind="ADDRESS_BOOK_KIND_SITE_CONTACTS").entries
    assert {e.user_id for e in entries} == {world.director.id, world.direct.id, world.contact.id}, entries
    assert {e.user_id for e in entries if e.site_contact} == {world.contact.id}, entries

    disabled = dict(id=world.plain.id, active=False)
    world.users.UpdateUser(user=disabled, update_mask=dict(paths=["active"]))
    for active in (False, True):
        customer = dict(id=world.customer.id, active=active)
        world.customers.UpdateCustomer(customer=customer, update_mask=dict(paths=["active"]))
        counts = [
            world.users.GetEffectiveUser(id=who.id).effective_user.activity.active
            for who in (world.director, world.direct, world.plain)
        ]
        assert counts == [active, active, False], counts

    def overview():
        found = world.customers.GetCustomerOverview(id=world.customer.id).overview
        return found if found.open_ticket_count == 2 else None

    overview = eventually("the overview hearing of both tickets", overview)
    assert overview.user_count == 4 and len(overview.recent_activity) >= 2, overview
    print("7. Important users come first; an inactive customer's users count as inactive until it is active again")


def errors(suite: Suite) -> None:
    """A bad request names every bad field, in a form that a program reads."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    try:
        suite.service("directory", "customer").CreateCustomer(request_id="no-id")
        sys.exit("story: a bad request went through")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        found = {}
        for detail in rpc_status.from_call(error).details:
            for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
                message = kind()
                if detail.Unpack(message):
                    found[kind.__name__] = message
    assert found["ErrorInfo"].reason == "INVALID_FIELD" and found["ErrorInfo"].metadata["request_id"], found
    fields = [violation.field for violation in found["BadRequest"].field_violations]
    assert fields == ["customer", "request_id", "main_site"], fields
    print("A bad request is refused with", found["ErrorInfo"].reason, "for", ", ".join(fields))


if __name__ == "__main__":
    main()
