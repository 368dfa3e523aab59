SELECT
  order_id,
  customer_id,
  CAST(quantity * price AS DECIMAL(18, 2)) AS amount,
  CAST(quantity * price * CAST({{ var "rate" }} AS DECIMAL(4, 2)) AS DECIMAL(18, 4)) AS amount_usd,
  updated_at
FROM {{ changes "silver.orders" }}
