-- Evaluations made while directory did not answer: to be made again once it does.
create table second_evaluations (
    evaluation_id uuid primary key,
    ticket_id uuid not null,
    -- The ticket's version with what the evaluation did.
    ticket_version bigint not null,
    create_time timestamptz not null,
    done_time timestamptz,
    -- The ticket's version that the second evaluation made; null while it is not done, and when it changed nothing.
    corrected_version bigint
);
create index second_evaluations_waiting on second_evaluations (create_time, evaluation_id) where done_time is null;
create index second_evaluations_by_ticket on second_evaluations (ticket_id);
