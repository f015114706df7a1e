create table customer (
    -- as printed on the customer's letters: five to ten capital letters and digits
    customer_id      text not null primary key
        check (length(customer_id) between 5 and 10 and customer_id not glob '*[^A-Z0-9]*'),
    name             text not null,
    status           text not null check (status in ('active', 'suspended', 'closed')),
    account_type     text not null check (account_type in ('standard', 'premium')),
    email            text not null,
    phone            text not null,
    last_activity_ms integer not null
) strict;

create index customer_by_activity on customer (last_activity_ms desc, customer_id);

create table ticket (
    ticket_id   text not null primary key,
    customer_id text not null references customer (customer_id),
    subject     text not null,
    description text not null,
    priority    text not null check (priority in ('low', 'normal', 'high', 'urgent')),
    status      text not null check (status in ('open', 'closed')),
    -- subject of the verified caller for whom it was created, and the issuer that knows it so
    created_by        text not null,
    created_by_issuer text not null,
    created_ms        integer not null
) strict;

create index ticket_by_customer on ticket (customer_id, created_ms desc);
