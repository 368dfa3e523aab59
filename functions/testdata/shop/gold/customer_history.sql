SELECT customer_id, email, city, updated_at AS valid_from
FROM {{ changes "silver.customers" }}
