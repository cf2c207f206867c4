-- What reports are made of. A rebuild makes the schema `report` anew, beside it, and takes its place (see
-- src/repository/rebuild.rs): all that has to outlive that is in `public`.
--
-- Indexes have no names of their own: a copy of a table gets the same default names, so that later migrations find
-- them whether there was a rebuild or not.

CREATE SCHEMA report;

-- One row per order, as the event of the highest version has it.
CREATE TABLE report.orders (
    order_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    -- Whose order it is; nobody's once the account is deleted.
    user_id uuid,
    status text NOT NULL,
    reason text,
    -- In all, once it is known: minor units of the currency.
    currency text COLLATE "C",
    total bigint,
    units bigint NOT NULL DEFAULT 0,
    placed_at timestamptz NOT NULL,
    -- Each from the event of its own, whatever its version.
    confirmed_at timestamptz,
    rejected_at timestamptz,
    cancelled_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    day date NOT NULL GENERATED ALWAYS AS ((placed_at AT TIME ZONE 'UTC')::date) STORED,
    -- Milliseconds until it was known whether it can be supplied.
    settled_after bigint GENERATED ALWAYS AS
        ((extract(epoch FROM coalesce(confirmed_at, rejected_at) - placed_at) * 1000)::bigint) STORED
);

-- What reports read is in their indexes, the columns that they sum included: then the tables themselves are not read.

-- Sales by time.
CREATE INDEX ON report.orders (placed_at) INCLUDE (day, currency, total, units)
    WHERE status IN ('CONFIRMED', 'SHIPPED', 'DELIVERED');

-- What became of the orders of a range.
CREATE INDEX ON report.orders (placed_at) INCLUDE (status, reason, settled_after);

-- For reports on a customer, and to find the orders of one who is gone.
CREATE INDEX ON report.orders (user_id) INCLUDE (placed_at, status, currency, total) WHERE user_id IS NOT NULL;

-- Lines of an order, one per product: what was ordered twice is summed.
CREATE TABLE report.order_lines (
    order_id uuid NOT NULL,
    product_id uuid NOT NULL,
    units bigint NOT NULL,
    -- What they cost in all, once that is known.
    currency text COLLATE "C",
    revenue bigint,
    -- Copies of the order's, so that sums over lines need not read orders.
    placed_at timestamptz NOT NULL,
    sold boolean NOT NULL,
    PRIMARY KEY (order_id, product_id)
);

-- Sales by product: of a short range all lines, of a long one product after product.
CREATE INDEX ON report.order_lines (placed_at) INCLUDE (product_id, currency, units, revenue) WHERE sold;
CREATE INDEX ON report.order_lines (product_id, currency, placed_at) INCLUDE (units, revenue) WHERE sold;

CREATE TABLE report.products (
    product_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    -- Kept for the names of what was sold once. Ids never come back.
    deleted boolean NOT NULL
);

-- Whose account is deleted: what comes late about their orders is written without them.
CREATE TABLE public.erased_customers (
    user_id uuid PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT now()
);

-- The rebuild that is under way, if there is one; and the last one that was swapped in, so that a repeated swap is
-- answered like the first.
CREATE TABLE public.rebuild (
    rebuild_id uuid PRIMARY KEY,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    swapped_at timestamptz,
    orders bigint,
    lines bigint,
    products bigint
);

CREATE UNIQUE INDEX ON public.rebuild ((swapped_at IS NULL));
