--
-- PostgreSQL database cluster dump
--

\restrict f5lDuYelJUw3WnYqOWUeEF7c5U2eSYbv9NjN8r544NrfaoIaAedo07fRX0hweJ0

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:dyustfU3fLhHHcH+gsQecQ==$84zjJjXRNKC8kR64s+d9APq+o/cuQ63V/dleqGygAwg=:gB50PxH+I+NjCo71z7wX9aGW0bMXACKOTyBO9c4HLAE=';
CREATE ROLE shop_owner;
ALTER ROLE shop_owner WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;

--
-- User Configurations
--








\unrestrict f5lDuYelJUw3WnYqOWUeEF7c5U2eSYbv9NjN8r544NrfaoIaAedo07fRX0hweJ0

--
-- PostgreSQL database cluster dump complete
--

