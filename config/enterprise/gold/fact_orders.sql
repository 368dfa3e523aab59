-- An order that was deleted in the shop leaves the facts. The customer's key is the one that holds when the order is loaded.
SELECT
  CASE WHEN o.is_deleted THEN 'delete' ELSE 'update' END AS op,
  o.change_seq,
  o.order_id,
  o.customer_id,
  coalesce(c.customer_sk, -1) AS customer_sk,
  o.product_id,
  coalesce(p.category, 'unknown') AS category,
  CAST(o.ordered_at AS DATE) AS order_date,
  o.status,
  o.quantity,
  o.currency,
  CAST(o.quantity * o.unit_price AS DECIMAL(18, 2)) AS amount,
  CAST(o.quantity * (o.unit_price - p.unit_cost) AS DECIMAL(18, 2)) AS margin
FROM {{ changes "silver.orders" }} AS o
LEFT JOIN {{ ref "gold.dim_customers" }} AS c ON c.customer_id = o.customer_id AND c.is_current
LEFT JOIN {{ ref "silver.products" }} AS p ON p.product_id = o.product_id
