-- One row.
create table popup_settings (
    one boolean primary key default true check (one),
    vip_popup_enabled boolean not null,
    vip_customer_popup_enabled boolean not null,
    update_time timestamptz,
    version bigint not null
);
insert into popup_settings (vip_popup_enabled, vip_customer_popup_enabled, version) values (false, false, 1);
