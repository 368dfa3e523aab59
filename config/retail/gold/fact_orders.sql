-- The keys are those that hold when the order is loaded: a later version of the customer does not change an order.
-- Orders of unknown customers or products stay in the facts, under the key -1, so that the totals are complete.
WITH priced AS (
  SELECT
    order_id,
    customer_id,
    product_id,
    order_ts,
    CAST(order_ts AS DATE) AS order_date,
    status,
    quantity,
    unit_price,
    currency,
    CAST(quantity * unit_price AS DECIMAL(18, 2)) AS amount,
    updated_at
  FROM {{ changes "silver.cleaned_orders" }}
)
SELECT
  o.order_id,
  o.customer_id,
  coalesce(c.customer_sk, -1) AS customer_sk,
  o.product_id,
  coalesce(p.product_sk, -1) AS product_sk,
  o.order_ts,
  o.order_date,
  o.status,
  o.quantity,
  o.unit_price,
  o.currency,
  o.amount,
  -- Rates are decimals: a double would lose cents.
  CAST(o.amount * CASE o.currency
    WHEN 'USD' THEN CAST(1.00 AS DECIMAL(4, 2))
    WHEN 'EUR' THEN CAST(1.10 AS DECIMAL(4, 2))
    WHEN 'GBP' THEN CAST(1.25 AS DECIMAL(4, 2))
  END AS DECIMAL(18, 4)) AS amount_usd,
  o.updated_at
FROM priced AS o
LEFT JOIN {{ ref "gold.dim_customers" }} AS c ON c.customer_id = o.customer_id AND c.is_current
LEFT JOIN {{ ref "gold.dim_products" }} AS p ON p.product_id = o.product_id
