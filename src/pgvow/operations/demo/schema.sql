-- The tables of the demo: a chat application like that of pgvow's first user.
CREATE TABLE conversations (
  id uuid PRIMARY KEY,
  title text NOT NULL,
  settings jsonb NOT NULL,
  started_at timestamptz NOT NULL
);

CREATE TABLE messages (
  id bigint PRIMARY KEY,
  conversation_id uuid NOT NULL REFERENCES conversations,
  role text NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
  content text NOT NULL,
  payload jsonb NOT NULL,
  attachment bytea,
  sent_at timestamptz NOT NULL
);

CREATE TABLE project_knowledge (
  id integer PRIMARY KEY,
  title text NOT NULL,
  body text NOT NULL,
  tags text[] NOT NULL,
  embedding real[] NOT NULL
);

CREATE TABLE conversation_index (
  conversation_id uuid PRIMARY KEY REFERENCES conversations,
  summary text NOT NULL,
  embedding real[] NOT NULL
);
