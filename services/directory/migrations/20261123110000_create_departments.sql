create table departments (
    id uuid primary key,
    name text not null,
    description text not null,
    active boolean not null,
    manager_agent_id uuid,
    create_time timestamptz not null,
    update_time timestamptz not null,
    delete_time timestamptz,
    version bigint not null
);
create unique index departments_name on departments (lower(name)) where delete_time is null;
create index departments_by_manager on departments (manager_agent_id) where manager_agent_id is not null;
create index departments_by_create_time on departments (create_time, id);

alter table teams add column department_id uuid;
create index teams_by_department on teams (department_id) where department_id is not null;
alter table users add column department_id uuid;
create index users_by_department on users (department_id, create_time, id) where department_id is not null;
