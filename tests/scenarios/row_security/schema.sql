-- Row security, forced on the owner too: who is not above it sees, and would dump, a part only.
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['scn_owner', 'scn_tenant']) AS names (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
CREATE SCHEMA tenants AUTHORIZATION scn_owner;
CREATE TABLE tenants.accounts (id integer PRIMARY KEY, tenant name NOT NULL, balance numeric);
ALTER TABLE tenants.accounts OWNER TO scn_owner;
INSERT INTO tenants.accounts
SELECT n, (ARRAY['scn_tenant', 'scn_owner', 'someone'])[n % 3 + 1], n FROM generate_series(1, 900) AS n;
ALTER TABLE tenants.accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON tenants.accounts USING (tenant = CURRENT_USER);
CREATE POLICY "no new debts" ON tenants.accounts AS RESTRICTIVE FOR INSERT TO scn_tenant
    WITH CHECK (balance >= 0);
GRANT USAGE ON SCHEMA tenants TO scn_tenant;
GRANT SELECT, INSERT ON tenants.accounts TO scn_tenant;
-- Enabled without any policy: nobody below a superuser sees a row.
CREATE TABLE tenants.sealed (id integer);
ALTER TABLE tenants.sealed ENABLE ROW LEVEL SECURITY;
INSERT INTO tenants.sealed SELECT generate_series(1, 40);
GRANT SELECT ON tenants.sealed TO PUBLIC;
-- Policies written, security switched off.
CREATE TABLE tenants.open (id integer);
CREATE POLICY unused ON tenants.open USING (false);
INSERT INTO tenants.open SELECT generate_series(1, 25);
ALTER DEFAULT PRIVILEGES IN SCHEMA tenants GRANT SELECT ON TABLES TO scn_tenant;
GRANT SELECT (id), UPDATE (balance) ON tenants.accounts TO scn_tenant WITH GRANT OPTION;
