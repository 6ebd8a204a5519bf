"""What measures models and alerts, each part with its command. No part of the product."""
