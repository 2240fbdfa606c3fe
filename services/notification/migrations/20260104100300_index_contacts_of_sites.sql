-- The contacts of a site: an index over all that names a site would find its tickets and users, too, and there are many
-- of them. Statements that are to use it name the type as a literal.
create index projections_site_contacts on projections using gin (refs) where record_type = 'site_contact';

-- Nobody looks a ticket up by what it names: it is kept without that from now on.
update projections set refs = '{}' where record_type = 'ticket' and refs <> '{}';
