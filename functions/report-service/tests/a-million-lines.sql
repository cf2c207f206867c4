-- 400,000 orders with a million lines, over the year 2026: for the test of which indexes reports use, and for the
-- benchmark. 20,000 products in 40 categories, 50,000 customers, two currencies.

INSERT INTO report.products (product_id, version, name, category, deleted)
SELECT ('00000001-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1, 'Product ' || n, 'Category ' || n % 40, false
FROM generate_series(0, 19999) AS n;

INSERT INTO report.order_lines (order_id, product_id, units, currency, revenue, placed_at, sold)
SELECT ('00000002-0000-7000-8000-' || lpad(to_hex(o), 12, '0'))::uuid,
    ('00000001-0000-7000-8000-' || lpad(to_hex((o * 7919 + l * 104729) % 20000), 12, '0'))::uuid,
    1 + (o + l) % 3,
    CASE WHEN o % 5 = 0 THEN 'USD' ELSE 'EUR' END,
    (1 + (o + l) % 3) * (500 + (o * 31 + l) % 5000),
    '2026-01-01Z'::timestamptz + o * interval '78.8 seconds',
    o % 16 > 2
FROM generate_series(0::bigint, 399999) AS o, generate_series(0, o % 4) AS l;

-- Three of sixteen orders are rejected, cancelled or open.
INSERT INTO report.orders (order_id, version, user_id, status, reason, currency, total, units, placed_at, confirmed_at,
    rejected_at, cancelled_at, shipped_at, delivered_at)
SELECT ('00000002-0000-7000-8000-' || lpad(to_hex(o), 12, '0'))::uuid, 3,
    ('00000003-0000-7000-8000-' || lpad(to_hex(o % 50000), 12, '0'))::uuid,
    status,
    CASE status WHEN 'REJECTED' THEN (ARRAY['out_of_stock', 'unknown_product', 'mixed_currencies'])[1 + o % 3] END,
    CASE WHEN status NOT IN ('REJECTED', 'PENDING') THEN lines.currency END,
    CASE WHEN status NOT IN ('REJECTED', 'PENDING') THEN lines.total END,
    lines.units,
    lines.placed_at,
    CASE WHEN status NOT IN ('REJECTED', 'PENDING') THEN lines.placed_at + o % 7001 * interval '1 millisecond' END,
    CASE status WHEN 'REJECTED' THEN lines.placed_at + o % 9001 * interval '1 millisecond' END,
    CASE status WHEN 'CANCELLED' THEN lines.placed_at + interval '1 hour' END,
    CASE WHEN status IN ('SHIPPED', 'DELIVERED') THEN lines.placed_at + interval '1 day' END,
    CASE WHEN status = 'DELIVERED' THEN lines.placed_at + interval '3 days' END
FROM (
    SELECT order_id, ('x' || right(order_id::text, 8))::bit(32)::bigint AS o, min(currency) AS currency,
        sum(revenue) AS total, sum(units) AS units, min(placed_at) AS placed_at
    FROM report.order_lines
    GROUP BY order_id
) AS lines,
LATERAL (
    SELECT (ARRAY['PENDING', 'REJECTED', 'CANCELLED', 'CONFIRMED', 'SHIPPED'])[1 + o % 16]
) AS early (status_or_none),
LATERAL (SELECT coalesce(status_or_none, 'DELIVERED')) AS final (status);
