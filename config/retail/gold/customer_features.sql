-- Cancelled orders are no purchases. The days count up to as_of, not to now, so that a repeated run gives the same table.
WITH purchases AS (
  SELECT
    customer_id,
    count(*) AS total_orders,
    CAST(sum(amount_usd) AS DECIMAL(18, 4)) AS total_spent,
    min(order_date) AS first_order_date,
    max(order_date) AS last_order_date
  FROM {{ ref "gold.fact_orders" }}
  WHERE status <> 'cancelled'
  GROUP BY customer_id
)
SELECT
  f.customer_id,
  c.segment,
  c.country,
  f.total_orders,
  f.total_spent,
  CAST(f.total_spent AS DOUBLE) / f.total_orders AS avg_order_value,
  f.first_order_date,
  f.last_order_date,
  CAST(CAST('{{ var "as_of" }}' AS DATE) - f.last_order_date AS INTEGER) AS days_since_last_order,
  CAST(CAST('{{ var "as_of" }}' AS DATE) - CAST(c.created_at AS DATE) AS INTEGER) AS customer_tenure_days,
  -- Orders per 30 days; all orders on one day count as one day.
  CAST(f.total_orders AS DOUBLE) * 30 / greatest(1, CAST(f.last_order_date - f.first_order_date AS INTEGER)) AS order_frequency
FROM purchases AS f
LEFT JOIN {{ ref "gold.dim_customers" }} AS c ON c.customer_id = f.customer_id AND c.is_current
