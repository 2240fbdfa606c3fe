-- Requests for test e-mails. Each is claimed here before its e-mail is sent, outside of any transaction; a repeat gets
-- the answer, or waits for it. Kept for a day.
create table test_emails (
    caller text not null,
    request_id uuid not null,
    request bytea not null,
    -- Null until the e-mail server took the e-mail.
    answer bytea,
    -- Who sends now, and until when nobody else does.
    lease uuid not null,
    lease_end timestamptz not null,
    create_time timestamptz not null,
    primary key (caller, request_id)
);
create index test_emails_by_create_time on test_emails (create_time);
