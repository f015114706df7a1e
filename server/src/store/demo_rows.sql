-- Customers of the demo; run at every start that asks for them, so it adds only what is missing.
insert or ignore into customer
    (customer_id, name, status, account_type, email, phone, last_activity_ms)
values
    ('CUST67890', 'Maria Lindqvist', 'active', 'premium', 'maria.lindqvist@example.com', '+1-555-0123', 1795310400000),
    ('JOHNDOE123', 'John Doe', 'active', 'standard', 'john.doe@example.com', '+1-555-0145', 1795224000000),
    ('ABC123', 'Abacus Brick Company', 'active', 'premium', 'office@abacus-brick.example.com', '+1-555-0167', 1795137600000),
    ('12345', 'Noor Haddad', 'suspended', 'standard', 'noor.haddad@example.com', '+1-555-0189', 1794964800000),
    ('67890', 'Tomás Ferreira', 'active', 'standard', 'tomas.ferreira@example.com', '+1-555-0111', 1794792000000),
    ('XYZ789', 'Xylem Yards Zone', 'active', 'premium', 'hello@xyz.example.com', '+1-555-0133', 1794619200000),
    ('ACME2024', 'Acme Anvils', 'closed', 'standard', 'accounts@acme.example.com', '+1-555-0155', 1792200000000),
    ('NORTH01', 'Northwind Traders', 'active', 'premium', 'desk@northwind.example.com', '+1-555-0177', 1795017600000);
