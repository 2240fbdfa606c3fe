-- The address book of a large customer, in its order.
create index users_in_address_book on users (customer_id, lower(name) collate "C", id) where delete_time is null;
