-- Certificates of private authorities that e-mail servers' certificates may come from, in PEM.
alter table email_senders add column ca_certificate text not null default '';
