-- Which agent wants to see which note no more, and which revision of its text that was.
create table popup_dismissals (
    popup_note_id uuid not null,
    agent text not null,
    text_revision bigint not null,
    dismiss_time timestamptz not null,
    primary key (popup_note_id, agent)
);
